// Package engine is the suite of many connections: idle, slow, lingering, pausing and suspended ones must hold no worker;
// admission, descriptors and memory stay within their bounds.
package engine
