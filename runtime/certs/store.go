package certs

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// WatchTime is how often Run looks at the files.
const WatchTime = 2 * time.Second

// Store is all certificates of a configuration. It keeps them as their files are: when those change and are valid, the sets of the
// listeners get the new ones.
type Store struct {
	now  func() time.Time
	told func(name string, err error)

	mu   sync.Mutex // guards what follows
	list []*kept
	sets []member
}

// kept is a certificate and the state of its files.
type kept struct {
	source  Source
	now     *Certificate
	files   *Files
	*counts // shared with the stores before
}

// counts are the times that changed files were taken, or not.
type counts struct{ renewed, failed atomic.Uint64 }

// member is a listener's set, with the places of its certificates in the list.
type member struct {
	set *Set
	of  []int
}

// Open reads all certificates. The errors are those of the sources, nil where there is none; where any is not nil there is no Store. told
// hears of every change that is found later: with an error where the certificate in use stays.
func Open(sources []Source, now func() time.Time, told func(name string, err error)) (*Store, []error) {
	return (&Store{}).Next(sources, now, told)
}

// Next is Open for the store that is to take this one's place. It goes on with the counts of the certificates whose names it knows; and
// one that this store has signed itself stays as it is, so that who has come to trust it need not do so again.
func (before *Store) Next(sources []Source, now func() time.Time, told func(name string, err error)) (*Store, []error) {
	s, failed := &Store{now: now, told: told}, false
	errs := make([]error, len(sources))
	for i, source := range sources {
		k := &kept{source: source, files: source.files(), counts: new(counts)}
		k.now, errs[i] = Read(source, now())
		failed = failed || errs[i] != nil
		if was, ok := before.kept(source.Name); ok {
			k.counts = was.counts
			if source.Certificate == SelfSigned && was.source.Certificate == SelfSigned && errs[i] == nil {
				c := *k.now
				c.pair = was.now.pair
				k.now = &c
			}
		}
		s.list = append(s.list, k)
	}
	if failed {
		return nil, errs
	}
	return s, errs
}

// kept is a copy of what there is of a name.
func (s *Store) kept(name string) (k kept, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.list, func(k *kept) bool { return k.source.Name == name }); i >= 0 {
		return *s.list[i], true
	}
	return kept{}, false
}

// Set makes the set of a listener out of the certificates of these names, which are there.
func (s *Store) Set(names []string, o Options) *Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := member{}
	for _, name := range names {
		m.of = append(m.of, slices.IndexFunc(s.list, func(k *kept) bool { return k.source.Name == name }))
	}
	m.set = NewSet(s.pickAll(m.of), o)
	s.sets = append(s.sets, m)
	return m.set
}

func (s *Store) pickAll(of []int) (list []*Certificate) {
	for _, i := range of {
		list = append(list, s.list[i].now)
	}
	return list
}

// Run looks at the files every WatchTime until stop is closed.
func (s *Store) Run(stop <-chan struct{}) {
	tick := time.NewTicker(WatchTime)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.Look()
		case <-stop:
			return
		}
	}
}

// Look reads what has changed, as Files.Changed says.
func (s *Store) Look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	for _, k := range s.list {
		if !k.files.Changed() {
			continue
		}
		c, err := Read(k.source, s.now())
		if err != nil {
			k.failed.Add(1)
		} else {
			k.now, changed = c, true
			k.renewed.Add(1)
		}
		s.told(k.source.Name, err)
	}
	if changed {
		for _, m := range s.sets {
			m.set.Replace(s.pickAll(m.of))
		}
	}
}

// Certificates are those in use, in the order of their sources.
func (s *Store) Certificates() (list []*Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.list {
		list = append(list, k.now)
	}
	return list
}

// Status is one certificate's, for metrics.
type Status struct {
	Name            string
	Expires         time.Time
	Renewed, Failed uint64 // times that changed files were taken, or not
}

// Status looks at all certificates, in file order.
func (s *Store) Status() (list []Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.list {
		list = append(list, Status{k.source.Name, k.now.Expires(), k.renewed.Load(), k.failed.Load()})
	}
	return list
}
