// Package confine takes from a child of the control process what it has no use for, so that whoever gets hold of it, a guest that has
// broken out of its sandbox, say, has little: no other files, no other program, no other process.
//
//	control process                                     child
//	a thread of its own for each child ── fork, exec ──► every thread, from the first instruction on
//	  no_new_privs                                         the same
//	  capabilities: bounding, ambient, inheritable         the same
//	  Landlock: files, TCP ports, signals                  the same
//	                                                     [Self], first thing
//	                                                       umask, no core dumps, not to be looked into
//	                                                       seccomp, for all threads: the system calls of a server
//
// Landlock binds one thread and its descendants only (before Linux 7.0), and Go has threads before it has a main function. So a [Fence] is
// put round a thread of the control process that does nothing but start the child, and ends; the child is born inside, without a
// thread that is not. For the same reason the exec of the child's own program is the one that Landlock allows; seccomp then takes exec
// away too, which it can do for all threads at once.
//
// What the kernel does not have is left out and said so: [Support.Missing].
package confine
