//go:build !ownercheck

package filters

// The ownership checks of the build tag ownercheck, off.

func (c *Chain) entering(*link) {}
func (c *Chain) left(*link)     {}
func (c *Chain) checkBegin()    {}
func (c *Chain) checkRun()      {}
