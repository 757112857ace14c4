package confine

import (
	"debug/elf"
	"os"
	"path/filepath"
)

// Profile is what a child may reach in the file system. A path stands for itself and everything beneath it, and symbolic links in it are
// followed when the fence is made. A path that does not exist gives nothing.
type Profile struct {
	Read  []string // files and directories
	Write []string // directories: what is in them may be read, changed, made, renamed and removed
	Exec  []string // programs

	// Abstract leaves free to connect to unix sockets with abstract names, which belong to nobody in the file system.
	Abstract bool
}

// system is what Go itself reads while a server runs.
var system = []string{
	"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services", "/etc/host.conf", "/etc/gai.conf", // package net, and libc
	"/etc/localtime", "/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo", // package time
	"/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/certs", "/etc/pki/tls/cacert.pem", // package crypto/x509
	"/etc/pki/ca-trust/extracted", "/etc/ca-certificates/extracted", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
	"/proc",                                                       // see below
	"/sys/fs/cgroup", "/sys/kernel/mm", "/sys/devices/system/cpu", // its runtime, and wazero: processors, page sizes
	"/dev/null", "/dev/urandom",
}

// loader is what a program that is linked dynamically (cgo, the race detector) reads besides.
var loader = []string{"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"}

// System adds to a profile what every child needs: what Go itself reads, and the program that the child is (proc(5): /proc/self/exe).
//
// All of /proc may be read, since that of a process that does not run yet cannot be named. What is in it of other processes and more
// than everybody's (memory, environment, descriptors) asks for the right to trace them, which nobody inside a fence has for what is
// outside.
func (p Profile) System() Profile {
	p.Read = append(p.Read[:len(p.Read):len(p.Read)], system...)
	for _, variable := range [...]string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
		p.Read = append(p.Read, filepath.SplitList(os.Getenv(variable))...)
	}
	p.Exec = append(p.Exec[:len(p.Exec):len(p.Exec)], program)
	if with := interpreter(program); with != "" {
		p.Exec = append(p.Exec, with)
		p.Read = append(p.Read, loader...)
	}
	return p
}

// program is the file that this process runs, even where another has taken its place.
const program = "/proc/self/exe"

// interpreter is the program that loads another one (elf(5): PT_INTERP), "" where it needs none.
func interpreter(of string) string {
	f, err := elf.Open(of)
	if err != nil {
		return ""
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz > 1 && p.Filesz < 4096 {
			name := make([]byte, p.Filesz)
			if _, err := p.ReadAt(name, 0); err == nil {
				return string(name[:len(name)-1]) // without the NUL
			}
		}
	}
	return ""
}
