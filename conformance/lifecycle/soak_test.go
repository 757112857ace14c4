package lifecycle

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
	"edge/runtime/admin"
)

var soak = flag.Duration("soak", 20*time.Second, "how long TestSoak lasts: 30m shows what grows slowly")

// What a soak does, in parts of its length: thirty minutes have a reload a minute and a sample every ten seconds.
const (
	soakReloads = 30
	soakSwaps   = 15 // a reload out of so many is one
	soakAges    = 6  // of those, the first, with each of which a generation begins: the last one then ages for the rest of the time
	soakSamples = 180
	soakShown   = 30 // values of a series that are printed
)

// series is one figure over the time of a soak, and what it may grow by between the medians of its second and its last quarter.
type series struct {
	name   string
	values []float64
	share  float64 // of the earlier median
	room   float64 // beside that
	unit   float64
}

// medians are those of the second and the last quarter. The first is left out: caches and pools fill.
func (s *series) medians() (early, late float64) {
	n := len(s.values)
	middle := func(part []float64) float64 {
		part = slices.Sorted(slices.Values(part))
		return part[len(part)/2]
	}
	return middle(s.values[n/4 : n/2]), middle(s.values[3*n/4:])
}

func (s *series) String() string {
	early, late := s.medians()
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %.1f then %.1f; over time", s.name, early/s.unit, late/s.unit)
	for k := range min(soakShown, len(s.values)) {
		fmt.Fprintf(&b, " %.0f", s.values[k*len(s.values)/min(soakShown, len(s.values))]/s.unit)
	}
	return b.String()
}

// check fails where it has grown.
func (s *series) check(t *testing.T) {
	t.Helper()
	early, late := s.medians()
	if most := early*(1+s.share) + s.room; late > most {
		t.Errorf("%s grows: the median of the last quarter is %.1f, of the second %.1f; at most %.1f", s.name, late/s.unit, early/s.unit, most/s.unit)
	}
}

// TestSoak: under mixed load, with reloads and swapped modules all the while, and new generations, nothing is lost and nothing grows: neither
// descriptors nor goroutines nor memory, of the control process and of the children.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	module := filepath.Join(t.TempDir(), "version.wasm")
	put := func(n int) {
		rig.Must(t, os.WriteFile(module+".new", versionModule(t, n), 0o644))
		rig.Must(t, os.Rename(module+".new", module))
	}
	put(0)
	f := form{children: 2, rest: fmt.Sprintf("[filters.version]\nmodule = %q\n[[routes]]\nmatch = { path = \"/module\" }\nfilters = [\"version\"]\n"+
		"respond = { body = \"m\" }\n", module)}
	e := newEstate(t, 2, "")
	e.take(f)
	j := newJudge(t)
	e.load(j)
	ask := func() *ask {
		return &ask{kind: "answers of a module", head: "GET /module HTTP/1.1", check: func(r io.Reader) error {
			body, err := io.ReadAll(r)
			if err == nil && string(body) != "m" {
				err = fmt.Errorf("%w: %q", errWrong, body)
			}
			return err
		}}
	}
	j.repeat(e.plain, true, always(2*time.Millisecond), ask)
	wrk := startWrk(t, e.Addr, pacedWrk(t)...)

	const mib = 1 << 20
	controlFiles, childFiles := &series{name: "descriptors of the control process", room: 16, unit: 1}, &series{name: "descriptors of a child", share: .2, room: 16, unit: 1}
	goroutines := &series{name: "goroutines of a child", share: .2, room: 16, unit: 1}
	controlRSS, childRSS := &series{name: "MiB of the control process", share: .1, room: 8 * mib, unit: mib}, &series{name: "MiB of a child", share: .15, room: 12 * mib, unit: mib}
	all := []*series{controlFiles, childFiles, goroutines, controlRSS, childRSS}
	sample := func() {
		var s admin.Status
		e.status(&s)
		n := float64(len(s.Children))
		fds, err := proc.Descriptors(e.control())
		rig.Must(t, err)
		rss, err := proc.RSS(e.control())
		rig.Must(t, err)
		controlFiles.values = append(controlFiles.values, float64(fds))
		controlRSS.values = append(controlRSS.values, float64(rss))
		goroutines.values = append(goroutines.values, float64(s.Goroutines)/n)
		var files, resident, counted float64
		for _, c := range s.Children {
			fds, err1 := proc.Descriptors(c.PID)
			rss, err2 := proc.RSS(c.PID)
			if err1 == nil && err2 == nil { // it may have gone meanwhile
				files, resident, counted = files+float64(fds), resident+float64(rss), counted+1
			}
		}
		childFiles.values = append(childFiles.values, files/max(1, counted))
		childRSS.values = append(childRSS.values, resident/max(1, counted))
	}
	began := time.Now()
	ticks := time.NewTicker(*soak / soakSamples)
	defer ticks.Stop()
	steps, versions := 0, 0
	for time.Since(began) < *soak && !t.Failed() && j.losses() == 0 {
		<-ticks.C
		sample()
		if step := int(time.Since(began) * soakReloads / *soak); step > steps {
			steps = step
			f.version++
			if step <= soakAges {
				f.workers = 36 - max(f.workers, 16)
			}
			if step%(soakReloads/soakSwaps) == 0 {
				versions++
				put(versions)
			}
			e.take(f)
			rig.Must(t, os.Rename(filepath.Join(e.Dir, "access.log"), filepath.Join(e.Dir, "access.log.1")))
			rig.Must(t, e.Signal(syscall.SIGUSR1))
		}
	}
	j.check(append(slices.Clone(kinds), "answers of a module")...)
	wrk.check()
	e.settles(f)
	t.Logf("%d reloads, %d swaps, %v: %s; %s", steps, versions, time.Since(began).Round(time.Second), j.summary(), wrk.said)
	if len(goroutines.values) < soakSamples/2 {
		t.Errorf("%d samples are too few", len(goroutines.values))
	}
	for _, s := range all {
		t.Log(s)
		if !rig.Race {
			s.check(t)
		}
	}
}

// settles has generations follow each other without load, and holds the control process to have the descriptors that it had.
func (e *estate) settles(f form) {
	e.t.Helper()
	rest := func() int {
		within(e.t, "earlier generations have gone", func() bool { return len(e.children()) == f.children })
		fds, err := proc.Descriptors(e.control())
		rig.Must(e.t, err)
		return fds
	}
	before := rest()
	for range soakAges {
		f.workers = 36 - max(f.workers, 16)
		f.version++
		e.take(f)
		rest()
	}
	after := 0
	if !rig.Eventually(patience, func() bool { after = rest(); return after <= before }) {
		e.t.Errorf("the control process has %d descriptors after %d generations, it had %d", after, soakAges, before)
	}
}
