package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// fetching are the settings of the go command that say where modules come from and are
// kept. They are the machine's, and change nothing of the result: sums are checked.
var fetching = []string{"GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOAUTH", "GOVCS", "GOCACHE", "GOMODCACHE"}

// settle fixes the environment of the go command: nothing that somebody has set for
// development, in the environment or by "go env -w", may change the result, and neither
// may the Go that happens to be installed.
func (w *workshop) settle(ctx context.Context) error {
	local := &workshop{env: append(w.env[:len(w.env):len(w.env)], "GOTOOLCHAIN=local")}
	text, err := local.do(ctx, w.dir, "go", append([]string{"env", "-json"}, fetching...)...)
	if err != nil {
		return err
	}
	machine := map[string]string{}
	if err := json.Unmarshal([]byte(text), &machine); err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	if w.toolchain, err = local.named(ctx, w.dir); err != nil {
		return err
	}
	for _, name := range fetching {
		w.env = append(w.env, name+"="+machine[name])
	}
	w.env = append(w.env, "GOENV=off", "GOTOOLCHAIN="+w.toolchain, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off",
		"GOEXPERIMENT=", "GOFIPS140=off", "GODEBUG=", "GOAMD64=v1", "GOARM64=v8.0")
	return nil
}

// named is the toolchain that go.mod names, or else the first Go that it permits.
func (w *workshop) named(ctx context.Context, dir string) (string, error) {
	text, err := w.do(ctx, dir, "go", "mod", "edit", "-json")
	if err != nil {
		return "", err
	}
	var mod struct{ Go, Toolchain string }
	if err := json.Unmarshal([]byte(text), &mod); err != nil {
		return "", fmt.Errorf("go mod edit: %w", err)
	}
	if mod.Toolchain != "" {
		return mod.Toolchain, nil
	}
	return "go" + strings.TrimPrefix(mod.Go, "go"), nil
}
