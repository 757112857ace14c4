package admin

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// filled is a status with something in each field: numbers are n.
func filled(n int) *Status {
	s := new(Status)
	fill(reflect.ValueOf(s).Elem(), n)
	return s
}

func fill(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n))
	case reflect.Uint64:
		v.SetUint(uint64(n))
	case reflect.Float64:
		v.SetFloat(float64(n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Map:
		one := reflect.New(v.Type().Elem()).Elem()
		fill(one, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x"), one)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), n)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(int64(n), 0).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("a field of a kind that nobody has thought of: " + v.Kind().String())
	}
}

// flat is what a value holds, by the path of each number, text or truth in it.
func flat(path string, v any, into map[string]string) map[string]string {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			flat(path+"."+k, e, into)
		}
	case []any:
		for i, e := range v {
			flat(fmt.Sprintf("%s[%d]", path, i), e, into)
		}
	case nil:
	default:
		into[path[1:]] = fmt.Sprint(v)
	}
	return into
}

func flatStatus(t *testing.T, s *Status) map[string]string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return flat("", v, map[string]string{})
}

// left are fields that the control process knows better: Totals leaves them out.
var left = []string{"version", "go", "pid", "started", "now", "config", "config_sha256", "config_since", "draining", "not_ready", "children", "last_reload.", "sandbox."}

// TestTotalsOfEveryField: of two children each number is the sum, and each field that is not added is one of those that are known. A field
// that is new and forgotten here fails.
func TestTotalsOfEveryField(t *testing.T) {
	totals := NewTotals()
	totals.Take(1, filled(3))
	totals.Take(2, filled(3))
	one, got := flatStatus(t, filled(3)), flatStatus(t, totals.Status())
	same := []string{
		"engine", "not_accepting", "request_bounds_seconds[0]", "call_bounds_seconds[0]", "filters[0].guests",
		"filters[0].last_fault.", "filters[0].last_swap.", "tls.certificates[0].", "listeners[0].protocols[0]", "listeners[0].tls", "problems[0].kind",
		"problems[0].reason", "listeners[0].address", ".name", ".sha256", ".abi",
	}
	known := func(list []string, path string) bool {
		return slices.ContainsFunc(list, func(l string) bool {
			return path == l || strings.HasPrefix(path, l) || l[0] == '.' && strings.HasSuffix(path, l)
		})
	}
	for path, value := range one {
		want := value
		switch {
		case known(left, path):
			continue
		case known(same, path):
		case value == "3":
			want = "6"
		default:
			t.Errorf("%s: %q is neither added nor known to be left", path, value)
		}
		if got[path] != want {
			t.Errorf("%s: %q, want %q", path, got[path], want)
		}
	}
	if len(one) < 70 {
		t.Errorf("%d fields: the test looks at the wrong place", len(one))
	}
	totals.Gone(1, nil)
	totals.Gone(2, filled(4))
	gone := flatStatus(t, totals.Status())
	for _, path := range []string{"routes[0].codes.x", "upstreams[0].retries", "filters[0].fuel", "listeners[0].accepted", "tls.handshakes.x", "problems[0].n", "admission_closed"} {
		if gone[path] != "7" {
			t.Errorf("%s of those that have gone: %q", path, gone[path])
		}
	}
	for _, path := range []string{"connections", "workers", "requests_in_flight", "memory_bytes", "filters[0].instances", "filters[0].lanes", "listeners[0].open", "upstreams[0].idle", "queue"} {
		if gone[path] != "0" {
			t.Errorf("%s of those that have gone: %q", path, gone[path])
		}
	}
	if gone["not_accepting"] != "false" {
		t.Error("nobody is there who does not accept")
	}
}

// TestTotalsOfChildren: which child says what something is, who is silent, and what has left the configuration.
func TestTotalsOfChildren(t *testing.T) {
	at := func(n int64) time.Time { return time.Unix(n, 0) }
	totals := NewTotals()
	totals.Take(7, &Status{Engine: "compiler", NotAccepting: true, Connections: 3, Workers: 16,
		Upstreams: []UpstreamStatus{{Name: "old", Retries: 5}, {Name: "app", Retries: 1, Idle: 4}},
		Filters:   []FilterStatus{{Name: "f", SHA256: "before", Lanes: 2, LastFault: &FaultStatus{Time: at(50), Cause: "cpu"}}},
		TLS:       TLSStatus{Certificates: []CertificateStatus{{"main", at(100)}}},
		Problems:  []Problem{{Kind: "timeouts", Reason: "idle", N: 4}},
	})
	totals.Take(8, &Status{Engine: "interpreter", Connections: 5, Workers: 16,
		Upstreams: []UpstreamStatus{{Name: "app", Retries: 2, Idle: 1}},
		Filters:   []FilterStatus{{Name: "f", SHA256: "now", Lanes: 2, LastFault: &FaultStatus{Time: at(40), Cause: "depth"}}},
		TLS:       TLSStatus{Certificates: []CertificateStatus{{"main", at(300)}}},
		Problems:  []Problem{{Kind: "timeouts", Reason: "write", N: 3}, {Kind: "timeouts", Reason: "idle", N: 1}},
	})
	s := totals.Status()
	if s.Engine != "interpreter" || s.NotAccepting || s.Connections != 8 || s.Workers != 32 {
		t.Errorf("engine %s, not accepting %v, %d connections, %d workers", s.Engine, s.NotAccepting, s.Connections, s.Workers)
	}
	if f := s.Filters[0]; f.SHA256 != "now" || f.Lanes != 4 || f.LastFault.Cause != "cpu" {
		t.Errorf("the filter is %+v", f)
	}
	if c := s.TLS.Certificates; len(c) != 1 || !c[0].Expires.Equal(at(100)) {
		t.Errorf("the certificate is %+v", c)
	}
	if want := []Problem{{"timeouts", "idle", 5}, {"timeouts", "write", 3}}; !slices.Equal(s.Problems, want) {
		t.Errorf("the problems are %+v", s.Problems)
	}
	if u := s.Upstreams; len(u) != 2 || u[0].Name != "app" || u[0].Retries != 3 || u[0].Idle != 5 || u[1].Name != "old" {
		t.Errorf("the upstreams are %+v", u)
	}
	totals.Silent(7)
	if s := totals.Status(); s.Connections != 5 || s.Upstreams[0].Retries != 3 || s.Upstreams[0].Idle != 1 || !totals.IsSilent(7) || totals.IsSilent(8) {
		t.Errorf("one is silent: %+v", s)
	}
	totals.Gone(7, nil)
	if s := totals.Status(); len(s.Upstreams) != 1 || s.Upstreams[0].Retries != 3 || s.Filters[0].LastFault.Cause != "cpu" || totals.IsSilent(7) {
		t.Errorf("one has gone: %+v", s)
	}
	totals.Take(8, &Status{NotAccepting: true, Workers: 16})
	if s := totals.Status(); !s.NotAccepting {
		t.Error("the only child does not accept")
	}
	totals.Gone(9, nil) // one that has never said anything
}

// TestTotalsByHand: whoever comes and goes, the requests of a route are what adding by hand makes of them, and what is read changes nothing.
func TestTotalsByHand(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	totals, counts, want, number := NewTotals(), map[int]uint64{}, uint64(0), 0
	for range 2000 {
		child := number - random.IntN(3)
		if counts[child] == 0 {
			number++
			child = number
		}
		n := uint64(1 + random.IntN(9))
		counts[child] += n
		want += n
		said := &Status{RequestBounds: []float64{1}, Routes: []RouteStatus{{Name: "r", Codes: map[string]uint64{"2xx": counts[child]},
			Durations: Durations{Counts: []uint64{counts[child], 0}, SumSeconds: 1}}}}
		if totals.Take(child, said); random.IntN(4) == 0 {
			totals.Gone(child, nil)
			delete(counts, child)
		}
		for range 2 {
			if r := totals.Status().Routes[0]; r.Codes["2xx"] != want || r.Durations.Counts[0] != want {
				t.Fatalf("%+v, want %d", r, want)
			}
		}
	}
}

// TestTotalsKeepABound: names that come and go with children are not kept without end.
func TestTotalsKeepABound(t *testing.T) {
	totals := NewTotals()
	for child := range 5 {
		s := &Status{}
		for i := range MaxKept {
			name := fmt.Sprint(child, "/", i)
			s.Routes = append(s.Routes, RouteStatus{Name: name})
			s.Problems = append(s.Problems, Problem{Kind: name})
		}
		totals.Gone(child, s)
	}
	if s := totals.Status(); len(s.Routes) != MaxKept || len(s.Problems) != MaxKept {
		t.Errorf("%d routes, %d kinds of problems", len(s.Routes), len(s.Problems))
	}
}
