package config

import (
	"bytes"
	"encoding"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// File reads settings from a YAML file over those in c. Unknown keys are errors.
func (c *Config) File(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	err = yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(c)
	if err != nil && err != io.EOF { // an empty file sets nothing
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// prefix begins the variables that are settings.
const prefix = "MILLRACE_"

// Environment reads settings from variables over those in c: MILLRACE_TLS_CERT is
// tls.cert; lists are separated by commas. A variable with the prefix that is no
// setting is an error.
func (c *Config) Environment(environ []string) error {
	known := map[string]reflect.Value{}
	collect(prefix, reflect.ValueOf(c).Elem(), known)
	for _, e := range environ {
		name, text, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		v, ok := known[name]
		if !ok {
			return fmt.Errorf("%s is set in the environment but is no setting; unset it or correct its name", name)
		}
		if err := set(v, text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// collect finds the settings below v by the names of their variables.
func collect(name string, v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("yaml")
		if key == "-" {
			continue
		}
		full := name + strings.ToUpper(key)
		if f := v.Field(i); f.Kind() == reflect.Struct {
			collect(full+"_", f, into)
		} else {
			into[full] = f
		}
	}
}

// set gives one setting the value that a text means.
func set(v reflect.Value, text string) error {
	switch p := v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text))
	case *time.Duration:
		d, err := time.ParseDuration(text)
		*p = d
		return err
	case *[]string:
		*p = nil
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				*p = append(*p, part)
			}
		}
		return nil
	}
	v.SetString(text)
	return nil
}
