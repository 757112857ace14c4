// Package systemd holds edge as a service of systemd: the unit files, and what edge says to a service manager and takes from it.
package systemd
