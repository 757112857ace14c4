package threats

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"edge/conformance/rig"
	"edge/conformance/strict"
)

func TestMain(m *testing.M) { rig.Main(m) }

// quick are the times of every edge here: short, so that what must be cut off is cut off soon.
const quick = `
header_timeout = "1s"
timeout = "1s"
linger_timeout = "1s"
keepalive_timeout = "20s"
`

// bed is an edge with an origin behind it for every path. The origin answers a request with its method, target and body.
type bed struct {
	*rig.Edge
	origin *rig.Origin
	fences int
}

// mirror answers each request with what it was.
func mirror(c *rig.OriginConn) {
	for {
		q, err := c.ReadRequest()
		if err != nil {
			return
		}
		if c.Say(mirrored(q)) != nil {
			return
		}
	}
}

func mirrored(q *strict.Request) string {
	answer := rig.OK(fmt.Sprintf("%s %s %s", q.Method, q.Target, q.Body))
	if q.Method == "HEAD" {
		answer = answer[:strings.Index(answer, "\r\n\r\n")+4]
	}
	return answer
}

func newBed(t testing.TB, c rig.Config) *bed {
	t.Helper()
	b := &bed{origin: rig.NewOrigin(t, mirror)}
	c.Server += quick
	c.Rest += rig.Upstream("", b.origin)
	b.Edge = rig.Start(t, c)
	return b
}

// fence sends a sound request on a connection of its own and reads its answer. After it, everything that edge sent to the
// origin before has arrived, and an upstream connection left out of step would show.
func (b *bed) fence(t *testing.T) {
	t.Helper()
	b.fences++
	path := fmt.Sprintf("/fence/%d", b.fences)
	c := rig.Dial(t, b.Addr)
	p := c.Get(path, "Connection: close\r\n")
	if want := "GET " + path + " "; p.Status != 200 || string(p.Body) != want {
		t.Errorf("the next client's request is answered with %d %q, want %q", p.Status, p.Body, want)
	}
}

// seen is what the origin has read as whole requests, without the fences.
func (b *bed) seen() (all []*strict.Request) {
	return slices.DeleteFunc(b.origin.Requests(), func(q *strict.Request) bool { return strings.HasPrefix(q.Target, "/fence/") })
}

// bytesSeen counts what the origin has received, fences included.
func (b *bed) bytesSeen() int { return len(b.origin.Received()) }

// refusal is a request that must be answered with one of the statuses and a close. The origin must not see a byte of it; where
// begun is set its head was sound, so the origin may have seen the beginning of a request, but no whole one.
type refusal struct {
	name   string
	in     string
	status []int
	begun  bool
}

// refuse runs refusals against one edge, one after the other.
func refuse(t *testing.T, b *bed, cases []refusal) {
	t.Helper()
	for _, r := range cases {
		t.Run(r.name, func(t *testing.T) {
			before, whole := b.bytesSeen(), len(b.seen())
			c := rig.Dial(t, b.Addr)
			c.Send(r.in)
			p := onlyAnswer(t, c.Rest())
			if p != nil && !slices.Contains(r.status, p.Status) {
				t.Errorf("answered %d %s %q, want %v", p.Status, p.Reason, p.Body, r.status)
			}
			if got := b.bytesSeen() - before; got > 0 && !r.begun {
				t.Errorf("the origin received %d bytes: %.300q", got, b.origin.Received()[before:])
			}
			b.fence(t)
			if got := b.seen()[whole:]; len(got) > 0 {
				t.Errorf("the origin saw %d requests, first %s %s", len(got), got[0].Method, got[0].Target)
			}
		})
	}
}

// onlyAnswer parses what a connection said before it closed: exactly one response that announces the close.
func onlyAnswer(t *testing.T, said string) *strict.Response {
	t.Helper()
	all := answers(t, said, "GET")
	if len(all) != 1 {
		t.Errorf("%d responses, want 1: %.600q", len(all), said)
		return nil
	}
	if !strings.EqualFold(all[0].Header.Get("connection"), "close") {
		t.Errorf("the response does not say connection: close: %+v", all[0].Header)
	}
	return all[0]
}

// answers parses the responses to requests of that method, interim ones dropped.
func answers(t *testing.T, said, method string) (all []*strict.Response) {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(said))
	for {
		p, err := strict.ReadResponse(r, method)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Errorf("response %d of %.600q: %v", len(all), said, err)
			return all
		}
		if p.Status >= 200 {
			all = append(all, p)
		}
	}
}

// head makes a request's head of its lines.
func head(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// post is a POST with more field lines and a body.
func post(fields, body string) string {
	return "POST /victim HTTP/1.1\r\nHost: edge.test\r\n" + fields + "\r\n" + body
}

// get is a GET with more field lines.
func get(fields string) string {
	return "GET /victim HTTP/1.1\r\nHost: edge.test\r\n" + fields + "\r\n"
}

// chunked is a POST with a chunked body written as it stands.
func chunked(body string) string { return post("Transfer-Encoding: chunked\r\n", body) }

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: edge.test\r\n\r\n"
