package proxywasm

import (
	"strings"
	"time"

	"edge/filters"
)

// MinTick is the shortest period of ticks; a shorter one counts as this.
const MinTick = 10 * time.Millisecond

// root is what the host keeps of an instance's root context: what the guest has asked for it, until whoever calls the instance
// carries it out. Like the rest of the Instance it belongs to the lane's holder.
type root struct {
	period time.Duration          // of ticks; 0 is off
	calls  [filters.MaxCalls]call // calls that no stream carries, from being made to being answered
	asked  []RootCall             // those of them that have not been taken by NextCall
	news   bool                   // period, asked or done have changed since RootNews
	ending bool                   // proxy_on_done has been called
	owed   bool                   // it has returned false: proxy_done is to come
	failed error                  // it has failed
}

// RootCall is a call to an upstream that no stream carries, under the guest's id.
type RootCall struct {
	ID   uint32
	Call filters.Call
}

// RootNews says, once, that the guest has asked something for its root context: TickPeriod, NextCall and Finished tell what.
func (i *Instance) RootNews() bool {
	news := i.root.news
	i.root.news = false
	return news
}

// TickPeriod is the time from one Tick to the next that the guest wishes, at least MinTick; 0 is none.
func (i *Instance) TickPeriod() time.Duration {
	if i.exports.tick == nil {
		return 0
	}
	return i.root.period
}

// NextCall takes the oldest call that the guest has made without a stream. Its answer, or its failure, is to come by RootCallDone.
func (i *Instance) NextCall() (c RootCall, found bool) {
	if len(i.root.asked) == 0 {
		return c, false
	}
	c = i.root.asked[0]
	i.root.asked = append(i.root.asked[:0], i.root.asked[1:]...)
	return c, true
}

// keep makes c a call of the root context. It copies it, and returns the guest's id, or 0 where filters.MaxCalls are under way.
func (r *root) keep(c *filters.Call, lastCall *uint32) uint32 {
	for k := range r.calls {
		if r.calls[k].guest == 0 {
			id := nextID(lastCall)
			r.calls[k] = call{guest: id, kind: c.Kind}
			r.asked = append(r.asked, RootCall{id, copyCall(c)})
			r.news = true
			return id
		}
	}
	return 0
}

func copyCall(c *filters.Call) filters.Call {
	return filters.Call{
		Kind: c.Kind, Outbox: c.Outbox,
		Upstream: strings.Clone(c.Upstream), Method: strings.Clone(c.Method), Authority: strings.Clone(c.Authority),
		Target: strings.Clone(c.Target), Header: copyPairs(c.Header), Body: append([]byte(nil), c.Body...),
		Trailer: copyPairs(c.Trailer), Timeout: c.Timeout,
	}
}

func copyPairs(pairs [][2]string) [][2]string {
	var out [][2]string
	for _, p := range pairs {
		out = append(out, [2]string{strings.Clone(p[0]), strings.Clone(p[1])})
	}
	return out
}

// RootCallDone brings the answer of a call taken by NextCall, nil where it has failed, or a part of it. An id that is not under way does nothing.
func (i *Instance) RootCallDone(id uint32, answer *filters.CallAnswer) error {
	for k := range i.root.calls {
		if c := i.root.calls[k]; c.guest == id && id != 0 {
			if !answer.More() {
				i.root.calls[k] = call{}
			}
			return i.settleRoot(i.answered(nil, c, answer))
		}
	}
	return nil
}

// Tick runs proxy_on_tick.
func (i *Instance) Tick() error {
	if i.exports.tick == nil {
		return nil
	}
	i.begin(nil)
	return i.settleRoot(i.call(i.exports.tick, rootID))
}

// QueueReady tells the guest that there is something in a shared queue.
func (i *Instance) QueueReady(queue uint32) error {
	if i.exports.queueReady == nil {
		return nil
	}
	i.begin(nil)
	return i.settleRoot(i.call(i.exports.queueReady, rootID, uint64(queue)))
}

// settleRoot does what a callback of the root context asked for other streams, or forgets it where the callback has failed.
func (i *Instance) settleRoot(err error) error {
	if err != nil {
		i.forget()
		return err
	}
	i.settle(nil, noDirection, filters.Continue)
	return nil
}

// RootDone tells the guest, once, that its root context is to end. Where it asks for time, by false from proxy_on_done, finished is
// false until it calls proxy_done: Finished says so.
func (i *Instance) RootDone() (finished bool, err error) {
	r := &i.root
	if r.ending || i.exports.done == nil {
		r.ending = true
		return i.Finished(), r.failed
	}
	r.ending, r.owed = true, false
	i.begin(nil)
	i.stack[0] = 1
	if r.failed = i.settleRoot(i.call(i.exports.done, rootID)); r.failed != nil {
		return true, r.failed
	}
	r.owed = uint32(i.stack[0]) == 0
	return !r.owed, nil
}

// Finished says, after RootDone, that the guest asks for no more time.
func (i *Instance) Finished() bool { return !i.root.owed }

// done is the end of a root context whose proxy_on_done has returned false: proxy_done. For any other it is notFound.
func done(i *Instance, _ []uint64) status {
	if !i.root.owed {
		return notFound
	}
	i.root.owed, i.root.news = false, true
	return ok
}
