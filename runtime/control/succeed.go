package control

import "time"

// numberGap is how many children the control process that is followed may start yet, before it has retired, without any two of both having
// one number.
const numberGap = 256

// Follow has numbers go on, before Begin, from where those of another control process are (P9).
func (c *Control) Follow(number, generation int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number, c.generation = (number+numberGap)%MaxNumber, generation
}

// Last are the numbers of the last child and of the last generation, for Follow in another control process.
func (c *Control) Last() (number, generation int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.number, c.generation
}

// Leave has all children retire, for at most within, since another control process has taken over the listening sockets; it returns when
// they have gone. Stop may be called meanwhile. It returns whether they have finished everything.
func (c *Control) Leave(within time.Duration) (finished bool) {
	c.retireAll(within)
	c.mu.Lock()
	list := c.withState(nil, Starting, Ready, Retiring, Stopping)
	c.mu.Unlock()
	finished = true
	for _, ch := range list {
		<-ch.gone
		finished = finished && ch.how == Ended
	}
	return finished
}
