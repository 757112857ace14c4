package meter

import (
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// workloads are guests of several languages with functions (i32) → i32 that do what filters do.
func workloads(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for name, path := range map[string]string{"c": "testdata/work-c.wasm", "assemblyscript": "testdata/work-as.wasm"} {
		wasm, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = wasm
	}
	if testing.Short() {
		return out
	}
	path := filepath.Join(t.TempDir(), "work.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", path, "./testdata/work")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out["go"] = wasm
	return out
}

// worker is an instance of workloads.
type worker struct {
	module api.Module
	yields *int
}

// newWorker instantiates a guest; slice is the fuel it gets each time, or 0 for the module as it is.
func newWorker(t testing.TB, wasm []byte, slice int32, o ...func(wazero.RuntimeConfig) wazero.RuntimeConfig) *worker {
	t.Helper()
	ctx := context.Background()
	config := wazero.NewRuntimeConfigCompiler()
	for _, f := range o {
		config = f(config)
	}
	rt := wazero.NewRuntimeWithConfig(ctx, config)
	t.Cleanup(func() { _ = rt.Close(ctx) })
	w := &worker{yields: new(int)}
	wasi_snapshot_preview1.MustInstantiate(ctx, rt)
	if slice > 0 {
		var err error
		if wasm, _, err = Rewrite(wasm); err != nil {
			t.Fatal(err)
		}
		var last time.Time
		linkYield(t, rt, func(depth int32) int32 {
			if depth < 0 {
				panic(errDepth)
			}
			if now := time.Now(); now.Before(last) {
				panic(errTime)
			} else {
				last = now
			}
			*w.yields++
			return slice
		})
	}
	var err error
	w.module, err = rt.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// names are the workloads of a guest.
func (w *worker) names() (names []string) {
	for name, f := range w.module.ExportedFunctionDefinitions() {
		if len(f.ParamTypes()) == 1 && len(f.ResultTypes()) == 1 && !strings.HasPrefix(name, "_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// task is one workload, ready to be called.
func (w *worker) task(name string) func(seed uint64) (uint64, error) {
	f := w.module.ExportedFunction(name)
	depth, _ := w.module.ExportedGlobal(Depth).(api.MutableGlobal)
	stack := make([]uint64, 1)
	return func(seed uint64) (uint64, error) {
		if depth != nil {
			depth.Set(StartDepth)
		}
		stack[0] = seed
		err := f.CallWithStack(context.Background(), stack)
		return uint64(uint32(stack[0])), err
	}
}

// Real guests give the same results, and leave the same memory, with a yield every few instructions.
func TestGuestsOfSeveralLanguages(t *testing.T) {
	for language, wasm := range workloads(t) {
		t.Run(language, func(t *testing.T) {
			plain, metered := newWorker(t, wasm, 0), newWorker(t, wasm, shortSlice)
			names := plain.names()
			if len(names) < 5 {
				t.Fatalf("only %q", names)
			}
			results := map[uint64]bool{}
			for seed := range uint64(20) {
				for _, name := range names {
					a, err := plain.task(name)(seed)
					b, err2 := metered.task(name)(seed)
					if a != b || err != nil || err2 != nil {
						t.Fatalf("%s(%d): %x %v, metered %x %v", name, seed, a, err, b, err2)
					}
					results[a] = true
				}
			}
			if string(whole(plain.module)) != string(whole(metered.module)) {
				t.Error("the memories differ")
			}
			if len(results) < 20 || *metered.yields < 1000 {
				t.Errorf("%d results, %d yields", len(results), *metered.yields)
			}
		})
	}
}

// BenchmarkOverhead is the ratio of the times that workloads take metered and as they are, in turns of 2 ms; the control
// is a second unmetered copy, and shows what the machine adds. "interrupted" is the engine's own way of ending calls.
func BenchmarkOverhead(b *testing.B) {
	const turn, rounds = 2 * time.Millisecond, 60
	for language, wasm := range workloads(b) {
		b.Run(language, func(b *testing.B) {
			kinds := []string{"unmetered", "control", "metered", "interrupted"}
			workers := []*worker{newWorker(b, wasm, 0), newWorker(b, wasm, 0), newWorker(b, wasm, Slice),
				newWorker(b, wasm, 0, func(c wazero.RuntimeConfig) wazero.RuntimeConfig { return c.WithCloseOnContextDone(true) })}
			logs := make([]float64, len(kinds))
			names := workers[0].names()
			for _, name := range names {
				tasks := make([]func(uint64) (uint64, error), len(workers))
				for k, w := range workers {
					tasks[k] = w.task(name)
				}
				times := make([][]float64, len(workers)) // per call, each turn
				for round := range rounds {
					for k := range tasks {
						at := (k + round) % len(tasks)
						began, calls := time.Now(), 0
						for time.Since(began) < turn {
							if _, err := tasks[at](uint64(calls)); err != nil {
								b.Fatal(err)
							}
							calls++
						}
						times[at] = append(times[at], float64(time.Since(began))/float64(calls))
					}
				}
				for k := range kinds {
					slices.Sort(times[k])
				}
				const low = rounds / 10 // what is slower was disturbed
				for k := range kinds {
					logs[k] += math.Log(times[k][low] / times[0][low])
				}
				b.Logf("%-10s %8.1f µs; control %.2f, metered %.2f, interrupted %.1f", name, times[0][low]/1000,
					times[1][low]/times[0][low], times[2][low]/times[0][low], times[3][low]/times[0][low])
			}
			for b.Loop() {
				_, _ = workers[2].task(names[0])(1)
			}
			for k, kind := range kinds[1:] {
				b.ReportMetric(math.Exp(logs[k+1]/float64(len(names))), kind)
			}
		})
	}
}
