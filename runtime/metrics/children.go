package metrics

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protodelim"
)

// MaxSeries is the most series of one child that are read, and the most whose counts are kept of all children that have gone.
const MaxSeries = 1 << 16

// encoding is how a child tells its metrics: families in Prometheus's protocol buffers, each behind its length.
var encoding = expfmt.NewFormat(expfmt.TypeProtoDelim)

// Encode writes every metric for [Totals.Take]. What can be written is; the error tells of the rest.
func (s *Set) Encode() ([]byte, error) {
	families, err := s.registry.Gather()
	var out bytes.Buffer
	to := expfmt.NewEncoder(&out, encoding)
	for _, f := range families {
		if e := to.Encode(f); e != nil && err == nil {
			err = e
		}
	}
	return out.Bytes(), err
}

// Totals adds up the metrics of several processes: of children that are there, and what those have counted that have gone, so that no
// counter ever falls. It goes by the numbers of children, which no two have at a time. See [mergeOf] for what becomes of gauges. It is safe
// for use by several goroutines at once, but answers of one child must be given to Take in the order in which it gave them.
type Totals struct {
	mu         sync.Mutex // guards the fields below
	children   map[int]*childTotals
	past       *table // of children that have gone, and series that have begun anew; only what counts
	lost       uint64 // series that past had no room for, or could not have
	unanswered uint64
}

// childTotals is what a child has said last.
type childTotals struct {
	said   *table
	silent bool // it did not answer the last time
}

// NewTotals makes totals of no children.
func NewTotals() *Totals { return &Totals{children: map[int]*childTotals{}, past: newTable()} }

// Take takes what a child says of itself, as its Set.Encode has made it. An error tells of what could not be read; the rest counts.
func (t *Totals) Take(child int, encoded []byte) error {
	said, err := decode(encoded)
	t.mu.Lock()
	defer t.mu.Unlock()
	if was := t.children[child]; was != nil {
		t.keep(was.said, said)
	}
	t.children[child] = &childTotals{said: said}
	return err
}

// Silent says that a child was asked and has not answered: until it does its gauges are left out, and its counts stand still.
func (t *Totals) Silent(child int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unanswered++
	if c := t.children[child]; c != nil {
		c.silent = true
	}
}

// Gone says that a child is no more; encoded is what it said at its end, nil where it could not: then what it said before counts.
func (t *Totals) Gone(child int, encoded []byte) (err error) {
	if encoded != nil {
		err = t.Take(child, encoded)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if was := t.children[child]; was != nil {
		t.keep(was.said, nil)
		delete(t.children, child)
	}
	return err
}

// keep adds to the past the counts of series that are no more, or that have begun anew from below. The caller holds mu.
func (t *Totals) keep(was, is *table) {
	for name, f := range was.families {
		if !counts(f.kind) {
			continue
		}
		for key, s := range f.series {
			if is != nil {
				if now := is.series(name, key); now != nil && !now.below(s) {
					continue
				}
			}
			err := t.past.add(f, key, s)
			if err != nil && t.past.n >= MaxSeries {
				t.sweep()
				err = t.past.add(f, key, s)
			}
			if err != nil {
				t.lost++
			}
		}
	}
}

// sweep makes room in the past: it gives up the series that no child has any more, such as those of routes that are no more. The caller
// holds mu.
func (t *Totals) sweep() {
	for name, f := range t.past.families {
		for key := range f.series {
			has := func(c *childTotals) bool { return c.said.series(name, key) != nil }
			if !slices.ContainsFunc(slices.Collect(maps.Values(t.children)), has) {
				t.past.drop(name, key)
				t.lost++
			}
		}
	}
}

// Write writes the totals, and the metrics of own, which is the set of this very process, in the text format. What can be written is,
// though the children contradict each other; the error tells of the first
// of that.
func (t *Totals) Write(w io.Writer, own *Set) error {
	families, err := own.registry.Gather()
	sum := newTable()
	for _, f := range families {
		err = cmp.Or(err, sum.take(f))
	}
	err = cmp.Or(err, t.addTo(sum))
	var out bytes.Buffer
	for _, f := range sum.encode() {
		_, e := expfmt.MetricFamilyToText(&out, f)
		err = cmp.Or(err, e)
	}
	if _, e := w.Write(out.Bytes()); e != nil {
		return e
	}
	return err
}

// addTo adds the children in the order of their numbers, and what is past.
func (t *Totals) addTo(sum *table) (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(t.children)) {
		c := t.children[n]
		for _, f := range c.said.families {
			if c.silent && !counts(f.kind) {
				continue
			}
			for key, s := range f.series {
				err = cmp.Or(err, sum.add(f, key, s))
			}
		}
	}
	for _, f := range t.past.families {
		for key, s := range f.series {
			if sum.add(f, key, s) != nil { // those that are there are of another kind now
				t.past.drop(f.name, key)
				t.lost++
			}
		}
	}
	return err
}

// Trouble is how often a child has not answered, and of how many series the counts could not be kept when a child went.
func (t *Totals) Trouble() (unanswered, lost uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unanswered, t.lost
}

// decode reads what Encode has written, up to what is wrong with it.
func decode(encoded []byte) (*table, error) {
	t := newTable()
	from := bytes.NewReader(encoded)
	size := protodelim.UnmarshalOptions{MaxSize: int64(len(encoded))} // as a length may be any number
	for {
		f := new(dto.MetricFamily)
		if err := size.UnmarshalFrom(from, f); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return t, err
		}
		if err := cmp.Or(valid(f), t.take(f)); err != nil {
			return t, err
		}
	}
}

// valid says whether names are such as may stand in the text, since what a child says is anything.
func valid(f *dto.MetricFamily) error {
	const rules = model.LegacyValidation
	if !rules.IsValidMetricName(f.GetName()) {
		return fmt.Errorf("%q is no name of a metric", f.GetName())
	}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if !rules.IsValidLabelName(l.GetName()) {
				return fmt.Errorf("%q is no name of a label", l.GetName())
			}
		}
	}
	return nil
}

// encode makes families of the table, in order of their names and labels.
func (t *table) encode() (list []*dto.MetricFamily) {
	for _, f := range t.families {
		m := &dto.MetricFamily{Name: &f.name, Help: &f.help, Type: f.kind.Enum()}
		for _, key := range slices.Sorted(maps.Keys(f.series)) {
			m.Metric = append(m.Metric, f.series[key].encode(f.kind))
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return list
}
