package lifecycle

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"edge/conformance/rig"
)

// TestStatusPage: what a browser makes of the status page is what /metrics and the processes say, with one child and with several.
func TestStatusPage(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes long to start")
	}
	chromium := rig.Program(t, "chromium")
	for _, children := range []int{1, 4} {
		t.Run(fmt.Sprint(children), func(t *testing.T) {
			e := rig.Start(t, rig.Config{Server: fmt.Sprintf("children = %d\nworkers = 4\n", children),
				Rest: "[[routes]]\nname = \"hello\"\nrespond = { body = \"hello\" }\n"})
			for range 150 {
				answer, err := client.Get("http://" + e.Addr)
				rig.Must(t, err)
				_, err = io.Copy(io.Discard, answer.Body)
				rig.Must(t, err)
				answer.Body.Close()
			}
			m := e.WaitMetric("150 requests over", func(m rig.Metrics) bool { return m.Sum("edge_http_requests_total") == 150 })
			within(t, "the scoreboards tell of all connections", func() bool {
				accepted := 0.0
				for _, c := range tell(t, e).Children {
					accepted += float64(c.Accepted)
				}
				return accepted == m.Sum("edge_listener_connections_total")
			})

			l, err := net.Listen("tcp", "127.0.0.1:0") // a browser speaks to no socket of the file system
			rig.Must(t, err)
			door := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "localhost"})
			door.Transport = e.AdminClient().Transport
			front := &http.Server{Handler: door}
			go front.Serve(l)
			defer front.Close()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			out, err := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
				"--disable-background-networking", "--user-data-dir="+t.TempDir(), "--virtual-time-budget=3000", "--dump-dom",
				"http://"+l.Addr().String()+"/status").Output()
			rig.Must(t, err)
			page := string(out)

			if !strings.Contains(page, `id="state" role="status" class="good">serving<`) {
				t.Errorf("the page does not say that edge serves: %.2000q", page)
			}
			rows := tableOf(page, "children")
			accepted := 0
			s := tell(t, e)
			if len(rows) != children || len(s.Children) != children {
				t.Fatalf("the children are %v", rows)
			}
			for i, c := range s.Children {
				want := []string{fmt.Sprint(c.Number), fmt.Sprint(c.PID), fmt.Sprint(c.Generation), "ready"}
				if got := rows[i][:4]; fmt.Sprint(got) != fmt.Sprint(want) || rows[i][8] != "idle 4" {
					t.Errorf("a child is shown as %v, want %v, and idle 4", rows[i], want)
				}
				var n int
				fmt.Sscan(rows[i][7], &n)
				accepted += n
			}
			m = e.Metrics()
			if float64(accepted) != m.Sum("edge_listener_connections_total") {
				t.Errorf("the children shown have accepted %d, in the metrics %v", accepted, m.Sum("edge_listener_connections_total"))
			}
			routes := tableOf(page, "routes")
			if len(routes) != 1 || routes[0][0] != "hello" || routes[0][4] != fmt.Sprint(m.Sum("edge_http_requests_total", `code="200"`)) {
				t.Errorf("the routes are %v, in the metrics %v", routes, m.Sum("edge_http_requests_total"))
			}
			if busy := fmt.Sprintf("0 of %d", 4*children); !strings.Contains(page, ">"+busy+"<") {
				t.Errorf("no %q of the workers", busy)
			}
		})
	}
}

var (
	tableRow  = regexp.MustCompile(`(?s)<tr>(.*?)</tr>`)
	tableCell = regexp.MustCompile(`(?s)<t[hd][^>]*>(.*?)</t[hd]>`)
)

// tableOf is the text of the rows in a section of the page, without its head.
func tableOf(page, section string) (rows [][]string) {
	_, after, _ := strings.Cut(page, `<section id="`+section+`"`)
	_, body, _ := strings.Cut(after, "<tbody>")
	body, _, _ = strings.Cut(body, "</tbody>")
	for _, row := range tableRow.FindAllStringSubmatch(body, -1) {
		var cells []string
		for _, cell := range tableCell.FindAllStringSubmatch(row[1], -1) {
			cells = append(cells, cell[1])
		}
		rows = append(rows, cells)
	}
	return rows
}
