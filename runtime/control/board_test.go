package control

import (
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"edge/runtime/control/board"
)

// TestP8Board: each child begins with a board of its own, which the control process reads, also for how it was when the child died.
func TestP8Board(t *testing.T) {
	inWorld(t, func(w *world) {
		boards := map[int]*board.Board{}
		w.script = func(a *actor) {
			b, err := board.Open(inheritedBoard(t, a))
			if err != nil {
				t.Error(err)
				return
			}
			b.SetState(board.Ready)
			b.Beat(board.Clock(), board.Figures{Connections: 10 * a.number})
			for i, c := range b.Cells() {
				c.Store(uint64(i))
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			boards[a.number] = b
		}
		w.control.options.Doing = func(child int, cells []uint64) string {
			if child != 1 || len(cells) != 4 || cells[3] != 3 {
				t.Errorf("cells %v", cells)
			}
			return "1 reading"
		}
		w.begin("children = 2\nworkers = 4")
		for _, c := range w.control.Numbers().Children {
			b := boards[c.Number]
			if b.Number() != c.Number || b.Generation() != 1 || c.Board.Connections != 10*c.Number || c.Board.State != board.Ready || len(c.Board.Cells) != 4 {
				t.Errorf("child %d of generation %d: %+v", b.Number(), b.Generation(), c)
			}
		}
		w.child(1).die("killed by SIGKILL")
		synctest.Wait()
		if n := w.control.Numbers().Children; len(n) != 2 || n[1].Number != 3 || n[1].Board.Connections != 30 {
			t.Errorf("after a death %+v", n)
		}
		if log := w.log.String(); !strings.Contains(log, `workers="1 reading"`) {
			t.Errorf("the log says %s", log)
		}
	})
}

// inheritedBoard is a child's own descriptor of its board.
func inheritedBoard(t *testing.T, a *actor) int {
	for _, f := range a.files {
		if f.Name == BoardFile {
			fd, err := unix.Dup(f.FD)
			if err != nil {
				t.Error(err)
			}
			return fd
		}
	}
	t.Error("the child has no board")
	return -1
}
