package systemd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

func itoa(n int) string { return strconv.Itoa(n) }

const hello = "[[routes]]\nrespond = { body = \"hello\\n\" }\n"

func listenAt(addr string) string { return fmt.Sprintf("[[listen]]\naddress = %q\n", addr) }

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := proc.FreeAddr()
	rig.Must(t, err)
	return addr
}

// stored is the name that a listener has in the store.
func stored(addr string) string { return "edge-" + strings.ReplaceAll(addr, ":", "_") }

// TestNotify: the service manager hears when edge serves, reloads and stops, that it lives, and which listeners it has.
func TestNotify(t *testing.T) {
	m := newManager(t)
	second := freeAddr(t)
	s := rig.StartService(t, rig.ServiceConfig{Rest: hello, Env: []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=100000"}})
	ready, n := m.await(0, "READY", says("READY", "1"))
	if ready.pid != s.PID() || ready.value("STATUS") != "serves http://"+s.Addr {
		t.Errorf("ready: %+v", ready)
	}
	if _, n = m.await(n, "the listener", says("FDNAME", stored(s.Addr))); len(m.store) != 1 {
		t.Errorf("the store has %v", m.store)
	}
	for range 3 {
		_, n = m.await(n, "WATCHDOG", says("WATCHDOG", "1"))
	}
	config, err := os.ReadFile(s.Config)
	rig.Must(t, err)
	for _, c := range []struct{ name, text, status, store, remove string }{
		{"a reload", string(config), "serves http://" + s.Addr, "", ""},
		{"a listener more", string(config) + listenAt(second), "serves http://" + s.Addr + " http://" + second, stored(second), ""},
		{"a reload that fails", "x = 1\n" + string(config), "serves http://" + s.Addr + " http://" + second + "; the last reload has failed", "", ""},
		{"that listener less", string(config), "serves http://" + s.Addr, "", stored(second)},
	} {
		before := len(m.all())
		rig.Must(t, os.WriteFile(s.Config, []byte(c.text), 0o644))
		s.Signal(syscall.SIGHUP)
		reloading, at := m.await(before, c.name+": RELOADING", says("RELOADING", "1"))
		if usec, err := strconv.ParseInt(reloading.value("MONOTONIC_USEC"), 10, 64); err != nil || usec <= 0 {
			t.Errorf("%s: %q", c.name, reloading.text)
		}
		if again, _ := m.await(at, c.name+": READY", says("READY", "1")); again.value("STATUS") != c.status {
			t.Errorf("%s: %q, want %q", c.name, again.text, c.status)
		}
		if c.store != "" {
			m.await(at, c.name+": "+c.store, func(s message) bool { return s.value("FDSTORE") == "1" && s.value("FDNAME") == c.store })
		}
		if c.remove != "" {
			m.await(at, c.name+": "+c.remove, func(s message) bool { return s.value("FDSTOREREMOVE") == "1" && s.value("FDNAME") == c.remove })
		}
	}
	n = len(m.all())
	if out, code := s.Verb("stop"); code != 0 {
		t.Errorf("stop: %d %s", code, out)
	}
	m.await(n, "STOPPING", says("STOPPING", "1"))
	for _, said := range m.all() { // NotifyAccess=main
		if said.pid != ready.pid {
			t.Errorf("process %d says %q, and is not the main process %d", said.pid, said.text, ready.pid)
		}
	}
}

// TestUpgradeIsTold: the old process names the new one, and that speaks only then.
func TestUpgradeIsTold(t *testing.T) {
	m := newManager(t)
	s := rig.StartService(t, rig.ServiceConfig{Rest: hello, Env: []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=100000"}})
	old := s.PID()
	_, n := m.await(0, "READY", says("READY", "1"))
	if out, code := s.Verb("upgrade"); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	next := s.PID()
	named, at := m.await(n, "MAINPID", says("MAINPID", itoa(next)))
	if named.pid != old {
		t.Errorf("process %d says %q", named.pid, named.text)
	}
	ready, at := m.await(at, "READY of the new one", says("READY", "1"))
	if ready.pid != next {
		t.Errorf("process %d says %q", ready.pid, ready.text)
	}
	m.await(at, "WATCHDOG of the new one", func(s message) bool { return s.pid == next && s.value("WATCHDOG") == "1" })
	rig.Must(t, s.FirstEnded(patience))
	main := old
	for _, said := range m.all() {
		if said.pid != main && said.value("BARRIER") == "" { // which anybody may send
			t.Errorf("process %d says %q, while the main process is %d", said.pid, said.text, main)
		}
		if said.value("MAINPID") != "" {
			main = next
		}
	}
	if out, code := s.Verb("stop"); code != 0 {
		t.Errorf("stop: %d %s", code, out)
	}
}

// TestRestartRefusesNobody: over a restart the store has the listeners, and who comes meanwhile waits.
func TestRestartRefusesNobody(t *testing.T) {
	m := newManager(t)
	addr := freeAddr(t)
	env := []string{"NOTIFY_SOCKET=" + m.path}
	s := rig.StartService(t, rig.ServiceConfig{Rest: listenAt(addr) + hello, Env: env})
	stop := make(chan struct{})
	var all sync.WaitGroup
	var mu sync.Mutex
	asked, failed := 0, []error(nil)
	for range 2 {
		all.Go(func() {
			client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				err := ask(client, addr)
				mu.Lock()
				if asked++; err != nil {
					failed = append(failed, err)
				}
				mu.Unlock()
			}
		})
	}
	for round := range 3 {
		m.await(0, "the listener", says("FDNAME", stored(addr)))
		if out, code := s.Verb("stop"); code != 0 {
			t.Errorf("round %d: stop: %d %s", round, code, out)
		}
		c, err := net.DialTimeout("tcp", addr, patience) // nobody accepts it
		if err != nil {
			t.Errorf("round %d: %v", round, err)
		} else {
			fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		}
		files, names := m.kept()
		wrap, listen := given(names)
		s = rig.StartService(t, rig.ServiceConfig{Rest: listenAt(addr) + hello, Env: append(listen, env...), Wrap: wrap, Files: files})
		if c != nil {
			c.SetReadDeadline(time.Now().Add(patience))
			if text, err := io.ReadAll(c); !strings.HasPrefix(string(text), "HTTP/1.1 200 ") {
				t.Errorf("round %d: who came in between got %q, %v", round, text, err)
			}
			c.Close()
		}
	}
	close(stop)
	all.Wait()
	if len(failed) > 0 || asked == 0 {
		t.Errorf("%d of %d requests failed, such as: %v", len(failed), asked, errors.Join(failed[:min(3, len(failed))]...))
	}
	// Each service had a listener for itself, which the next one's configuration did not have any more.
	m.await(0, "that the store forgets", says("FDSTOREREMOVE", "1"))
	if _, names := m.kept(); len(names) != 2 {
		t.Errorf("the store has %q", names)
	}
}

func ask(client *http.Client, addr string) error {
	answer, err := client.Get("http://" + addr + "/")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != 200 || string(text) != "hello\n") {
		err = fmt.Errorf("%s %q", answer.Status, text)
	}
	return err
}

// TestActivation: sockets of a socket unit serve the listeners whose addresses they have; what has none is closed, and told.
func TestActivation(t *testing.T) {
	var files []*os.File
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		rig.Must(t, err)
		f, err := l.(*net.TCPListener).File()
		rig.Must(t, err)
		addrs = append(addrs, l.Addr().String())
		rig.Must(t, l.Close())
		defer f.Close()
		files = append(files, f)
	}
	wrap, env := given([]string{"edge.socket", "edge.socket"})
	early, err := net.DialTimeout("tcp", addrs[0], patience) // before edge is started
	rig.Must(t, err)
	defer early.Close()
	fmt.Fprintf(early, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	s := rig.StartService(t, rig.ServiceConfig{Rest: listenAt(addrs[0]) + hello, Wrap: wrap, Env: env, Files: files})
	early.SetReadDeadline(time.Now().Add(patience))
	if text, err := io.ReadAll(early); !strings.HasPrefix(string(text), "HTTP/1.1 200 ") {
		t.Errorf("who came first got %q, %v", text, err)
	}
	for _, addr := range []string{s.Addr, addrs[0]} {
		if err := ask(http.DefaultClient, addr); err != nil {
			t.Error(err)
		}
	}
	want := "no [[listen]] has its address: " + addrs[1] + " (edge.socket)"
	s.Await("a warning of "+want, func() bool { return strings.Contains(s.Log(), "warn a socket that was handed over is not used, "+want) })
	if out, code := s.Verb("stop"); code != 0 {
		t.Errorf("stop: %d %s", code, out)
	}
}
