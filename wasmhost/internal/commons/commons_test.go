package commons

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

// use is what the only group keeps.
func use(t *testing.T, c *Commons) Use {
	t.Helper()
	list := c.Use()
	if len(list) != 1 {
		t.Fatalf("%d groups", len(list))
	}
	return list[0]
}

func TestDataOfOneGroup(t *testing.T) {
	c := New()
	a, b := c.Join("vm", "a"), c.Join("vm", "b")
	for name, m := range map[string]*Member{"another vm_id": c.Join("vm2", "a"), "its own": c.Join("", "vm"), "its own, of that name": c.Join("", "a")} {
		if err := a.Set("k", []byte("v"), 0); err != nil {
			t.Fatal(err)
		}
		if _, _, found := m.Get("k"); found {
			t.Errorf("%s: found", name)
		}
	}
	v, cas, found := b.Get("k")
	if !found || v != "v" || cas == 0 {
		t.Errorf("%q, %d, %v", v, cas, found)
	}
	if err := b.Set("k", []byte("w"), cas+1); !errors.Is(err, ErrMismatch) {
		t.Errorf("error %v", err)
	}
	if err := b.Set("new", []byte("w"), 99); err != nil {
		t.Errorf("a number for a key that has no value: error %v", err)
	}
}

// W103: what a guest gave as a name is its memory, and changes when the call is over. Nothing here may change with it.
func TestW103NothingKeepsAView(t *testing.T) {
	m := New().Join("vm", "a")
	metrics := m.Metrics
	var queue, metric uint32
	for range 2 { // the first makes what the second finds
		name := []byte("name")
		view := unsafe.String(&name[0], len(name))
		if err := m.Set(view, []byte("v"), 0); err != nil {
			t.Fatal(err)
		}
		queue, _ = m.Register(view, nil)
		metric = metrics.Define(Counter, view)
		copy(name, "else")
	}
	if _, _, found := m.Get("name"); !found {
		t.Error("the key has changed")
	}
	if id, found := m.Resolve("", "name"); !found || id != queue {
		t.Error("the queue's name has changed")
	}
	if id := metrics.Define(Counter, "name"); id != metric {
		t.Error("the metric's name has changed")
	}
}

func TestCASGrowsAndIsNeverZero(t *testing.T) {
	c := New()
	m := c.Join("vm", "a")
	c.cas.Store(1<<32 - 2)
	var last uint32
	for range 3 {
		if err := m.Set("k", nil, 0); err != nil {
			t.Fatal(err)
		}
		_, cas, _ := m.Get("k")
		if cas == 0 || cas == last {
			t.Errorf("%d after %d", cas, last)
		}
		last = cas
	}
}

// W105: what would go over the quota is refused and counted, and the rest stays as it is.
func TestW105DataQuota(t *testing.T) {
	c := New()
	m := c.Join("vm", "a")
	big := make([]byte, MaxValue)
	n := 0
	for m.Set("k"+strconv.Itoa(n), big, 0) == nil {
		n++
	}
	if n != MaxBytes/(MaxValue+EntryBytes) || m.RefusedData.Load() != 1 {
		t.Errorf("%d values, %d refused", n, m.RefusedData.Load())
	}
	if u := use(t, c); u.Entries != n || u.Bytes > MaxBytes {
		t.Errorf("%+v", u)
	}
	if err := m.Set("k0", []byte("small"), 0); err != nil {
		t.Errorf("a value made smaller: %v", err)
	}
	if err := m.Set("k0", big, 0); err != nil {
		t.Errorf("as large as before: %v", err)
	}
	for name, err := range map[string]error{
		"a key too long":   m.Set(strings.Repeat("k", MaxKey+1), nil, 0),
		"a value too long": m.Set("k0", append(big, 0), 0),
	} {
		if !errors.Is(err, ErrFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if v, _, _ := m.Get("k0"); len(v) != MaxValue {
		t.Errorf("a refused write has left %d bytes", len(v))
	}
}

func TestW105EntryQuota(t *testing.T) {
	c := New()
	m := c.Join("vm", "a")
	for n := range MaxEntries {
		if err := m.Set(strconv.Itoa(n), nil, 0); err != nil {
			t.Fatalf("entry %d: %v", n, err)
		}
	}
	if err := m.Set("more", nil, 0); !errors.Is(err, ErrFull) {
		t.Errorf("error %v", err)
	}
	if err := m.Set("0", []byte("v"), 0); err != nil {
		t.Errorf("a key that is there: %v", err)
	}
}

// Each of several writers raises a counter by compare and swap; none of the steps is lost.
func TestCASUnderContention(t *testing.T) {
	const writers, each = 8, 500
	c := New()
	if err := c.Join("vm", "first").Set("n", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for w := range writers {
		m := c.Join("vm", fmt.Sprint("writer ", w))
		all.Go(func() {
			for range each {
				for {
					v, cas, _ := m.Get("n")
					n, _ := strconv.Atoi(v)
					if m.Set("n", []byte(strconv.Itoa(n+1)), cas) == nil {
						break
					}
				}
			}
		})
	}
	all.Wait()
	if v, _, _ := c.Join("vm", "first").Get("n"); v != strconv.Itoa(writers*each) {
		t.Errorf("%s, want %d", v, writers*each)
	}
}

// What is shared lives from the first member of a vm_id to the last.
func TestLifeOfAGroup(t *testing.T) {
	c := New()
	old := c.Join("vm", "a")
	if err := old.Set("k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	id, err := old.Register("q", nil)
	if err != nil {
		t.Fatal(err)
	}
	metric := old.Metrics.Define(Counter, "m")
	next := c.Join("vm", "a") // the new version of a filter is made before the old one ends
	old.Leave()
	if v, _, found := next.Get("k"); !found || v != "v" {
		t.Error("the data is gone with a member that was not the last")
	}
	if next.Enqueue(id, nil) != nil || next.Metrics.Define(Counter, "m") != metric {
		t.Error("queue or metric is gone with a member that was not the last")
	}
	next.Leave()
	if n := len(c.Use()) + len(c.Samples()) + len(c.queues); n != 0 {
		t.Errorf("%d things are left", n)
	}
	again := c.Join("vm", "a")
	if _, _, found := again.Get("k"); found {
		t.Error("the data outlives the last member")
	}
	if err := again.Enqueue(id, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("the queue outlives the last member: %v", err)
	}
	if other, _ := again.Register("q", nil); other == id || other == 0 {
		t.Errorf("queue %d, as the one before", other)
	}
}

func TestQueueOrder(t *testing.T) {
	c := New()
	m := c.Join("vm", "a")
	id, _ := m.Register("q", nil)
	if again, _ := m.Register("q", nil); again != id {
		t.Errorf("%d and %d", id, again)
	}
	if other, _ := m.Register("q2", nil); other == id {
		t.Error("two names, one queue")
	}
	in, out := 0, 0
	for round := range 50 {
		for range round {
			if err := m.Enqueue(id, []byte(strconv.Itoa(in))); err != nil {
				t.Fatal(err)
			}
			in++
		}
		for range round / 2 {
			if v, err := m.Dequeue(id); err != nil || v != strconv.Itoa(out) {
				t.Fatalf("%q, %v, want %d", v, err, out)
			}
			out++
		}
	}
	for ; out < in; out++ {
		if v, err := m.Dequeue(id); err != nil || v != strconv.Itoa(out) {
			t.Fatalf("%q, %v, want %d", v, err, out)
		}
	}
	if _, err := m.Dequeue(id); !errors.Is(err, ErrEmpty) {
		t.Errorf("error %v", err)
	}
	if u := use(t, c); u.Items != 0 || u.QueueBytes != 0 {
		t.Errorf("%+v", u)
	}
}

func TestResolve(t *testing.T) {
	c := New()
	a, b, own := c.Join("vm", "a"), c.Join("vm2", "b"), c.Join("", "own")
	id, _ := a.Register("q", nil)
	mine, _ := own.Register("mine", nil)
	for _, r := range []struct {
		name     string
		from     *Member
		vm, q    string
		want     uint32
		wantFind bool
	}{
		{"by its vm_id", b, "vm", "q", id, true},
		{"another name", b, "vm", "x", 0, false},
		{"an unknown vm_id", b, "vm3", "q", 0, false},
		{"one's own by no vm_id", own, "", "mine", mine, true},
		{"a filter's own by its name", b, "own", "mine", 0, false},
	} {
		if got, found := r.from.Resolve(r.vm, r.q); got != r.want || found != r.wantFind {
			t.Errorf("%s: %d, %v", r.name, got, found)
		}
	}
	if err := b.Enqueue(id, []byte("x")); err != nil {
		t.Errorf("into the queue of another vm_id: %v", err)
	}
}

// Who registered last is told; when it leaves, who registered before is told again.
func TestWhoIsTold(t *testing.T) {
	c := New()
	var told string
	join := func(name string) *Member {
		m := c.Join("vm", name)
		if _, err := m.Register("q", func(uint32) { told += name }); err != nil {
			t.Fatal(err)
		}
		return m
	}
	a := join("a")
	b := join("b")
	id, _ := a.Resolve("", "q")
	put := func() {
		t.Helper()
		if err := a.Enqueue(id, nil); err != nil {
			t.Fatal(err)
		}
	}
	put()
	b.Leave()
	put()
	if _, err := a.Register("q", func(uint32) { told += "c" }); err != nil {
		t.Fatal(err)
	}
	put()
	if told != "bac" {
		t.Errorf("told %q", told)
	}
}

func TestW105QueueBounds(t *testing.T) {
	c := New()
	m := c.Join("vm", "a")
	id, _ := m.Register("q", nil)
	for n := range MaxItems {
		if err := m.Enqueue(id, nil); err != nil {
			t.Fatalf("item %d: %v", n, err)
		}
	}
	if err := m.Enqueue(id, nil); !errors.Is(err, ErrFull) {
		t.Errorf("an item too many: %v", err)
	}
	for range MaxItems {
		if _, err := m.Dequeue(id); err != nil {
			t.Fatal(err)
		}
	}
	big, n := make([]byte, MaxItem), 0
	for m.Enqueue(id, big) == nil {
		n++
	}
	if n != MaxQueueBytes/(MaxItem+EntryBytes) {
		t.Errorf("%d large items", n)
	}
	if err := m.Enqueue(id, append(big, 0)); !errors.Is(err, ErrFull) {
		t.Errorf("an item too large: %v", err)
	}
	for k := 1; k < MaxQueues; k++ {
		if _, err := m.Register(strconv.Itoa(k), nil); err != nil {
			t.Fatalf("queue %d: %v", k, err)
		}
	}
	if _, err := m.Register("more", nil); !errors.Is(err, ErrFull) {
		t.Errorf("a queue too many: %v", err)
	}
	if _, err := m.Register(strings.Repeat("q", MaxQueueName+1), nil); !errors.Is(err, ErrFull) {
		t.Errorf("a name too long: %v", err)
	}
	if got := m.RefusedQueue.Load(); got != 5 {
		t.Errorf("%d refused", got)
	}
}

func TestMetricsOfOneName(t *testing.T) {
	c := New()
	a, b, other := c.Join("", "f"), c.Join("vm", "f"), c.Join("vm", "g")
	id := a.Metrics.Define(Counter, "m")
	if b.Metrics.Define(Counter, "m") != id || b.Metrics.Define(Gauge, "m") == id {
		t.Error("one name and type is one metric")
	}
	if err := other.Metrics.Increment(id, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("another filter's metric: %v", err)
	}
	if err := b.Metrics.Increment(id, 2); err != nil {
		t.Error(err)
	}
	if v, err := a.Metrics.Value(id); v != 2 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}

func TestHistogram(t *testing.T) {
	c := New()
	m := c.Join("", "f").Metrics
	id := m.Define(Histogram, "h")
	for _, v := range []uint64{0, 1, 2, 5, 6, 3600000, 3600001, 1 << 40} {
		if err := m.Record(id, v); err != nil {
			t.Fatal(err)
		}
	}
	s := c.Samples()[0]
	want := map[int]uint64{0: 1, 1: 1, 2: 2, 3: 1, len(Buckets) - 1: 1, len(Buckets): 2}
	for k, n := range s.Counts {
		if n != want[k] {
			t.Errorf("bucket %d: %d, want %d", k, n, want[k])
		}
	}
	if s.Value != 1<<40+7200015 {
		t.Errorf("sum %d", s.Value)
	}
}

// W105: names that come from requests cannot fill memory, nor end the guest that uses them.
func TestW105MetricBounds(t *testing.T) {
	c := New()
	m := c.Join("", "f").Metrics
	for n := range MaxMetrics {
		m.Define(Type(n%3), strconv.Itoa(n))
	}
	over, long := m.Define(Counter, "more"), m.Define(Gauge, strings.Repeat("n", MaxMetricName+1))
	if over <= MaxMetrics || long <= MaxMetrics || over == long || m.Refused.Load() != 2 {
		t.Errorf("ids %d and %d, %d refused", over, long, m.Refused.Load())
	}
	if m.Increment(over, 1) != nil || m.Record(long, 1) != nil || m.Record(m.Define(Histogram, "h"), 1) != nil {
		t.Error("metrics beyond the bound do not work")
	}
	if m.Define(Type(0), "0") != 1 {
		t.Error("one that is there is not found any more")
	}
	if n := len(c.Samples()); n != MaxMetrics {
		t.Errorf("%d are shown", n)
	}
	if err := m.Increment(MaxMetrics+4, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v", err)
	}
}

func TestMetricsFromSeveralLanes(t *testing.T) {
	const lanes, each = 8, 1000
	c := New()
	var all sync.WaitGroup
	for range lanes {
		m := c.Join("", "f").Metrics
		all.Go(func() {
			for n := range each {
				if m.Increment(m.Define(Counter, "c"), 1) != nil || m.Record(m.Define(Histogram, "h"), uint64(n)) != nil {
					t.Error("refused")
				}
				c.Samples()
			}
		})
	}
	all.Wait()
	for _, s := range c.Samples() {
		total := s.Value
		if s.Type == Histogram {
			total = 0
			for _, n := range s.Counts {
				total += n
			}
		}
		if total != lanes*each {
			t.Errorf("%s: %d", s.Name, total)
		}
	}
}
