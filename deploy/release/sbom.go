package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// The shapes of a CycloneDX 1.6 bill of materials, as far as it is used here
// (https://cyclonedx.org/docs/1.6/json/).
type (
	bom struct {
		Schema       string       `json:"$schema"`
		Format       string       `json:"bomFormat"`
		Spec         string       `json:"specVersion"`
		Serial       string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		Hashes     []hash     `json:"hashes,omitempty"`
		Licences   []licence  `json:"licenses,omitempty"`
		Purl       string     `json:"purl"`
		Properties []property `json:"properties,omitempty"`
	}
	hash struct {
		Alg     string `json:"alg"`
		Content string `json:"content"`
	}
	licence struct {
		Licence licenceName `json:"license"`
	}
	licenceName struct {
		ID   string `json:"id,omitempty"`
		Name string `json:"name,omitempty"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn"`
	}
)

// bill lists what is in the program. It is made of what the linker wrote into it, not of
// what go.mod would allow.
func bill(p *program, info *debug.BuildInfo, at time.Time) ([]byte, error) {
	sum := sha256.Sum256(p.binary)
	self := component{Type: "application", Name: "millrace", Version: p.version, Purl: purl(info.Main.Path, p.version) + "?goarch=" + p.arch + "&goos=" + p.os,
		Licences: licences([]string{"Apache-2.0"}), Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}}}
	self.Ref = self.Purl
	for _, s := range info.Settings {
		self.Properties = append(self.Properties, property{"millrace:build:" + s.Key, s.Value})
	}
	b := bom{Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6", Serial: serial(sum), Version: 1,
		Metadata: metadata{at.UTC().Format(time.RFC3339), self}}
	uses := dependency{Ref: self.Ref}
	for _, m := range p.modules {
		c := component{Type: "library", Name: m.path, Version: m.version, Purl: purl(m.path, m.version), Licences: licences(m.licences)}
		c.Ref = c.Purl
		if h, ok := strings.CutPrefix(m.sum, "h1:"); ok {
			raw, err := base64.StdEncoding.DecodeString(h)
			if err != nil {
				return nil, fmt.Errorf("%s: checksum %q: %w", m.path, m.sum, err)
			}
			c.Hashes = []hash{{"SHA-256", hex.EncodeToString(raw)}}
		}
		b.Components = append(b.Components, c)
		uses.On = append(uses.On, c.Ref)
		b.Dependencies = append(b.Dependencies, dependency{Ref: c.Ref, On: []string{}})
	}
	b.Dependencies = append([]dependency{uses}, b.Dependencies...)
	return text(b)
}

func text(b bom) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(b)
	return out.Bytes(), err
}

// purl names a module for other programs (package-url, type golang).
func purl(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}

// serial is a UUID that follows from the program (version 8, RFC 9562).
func serial(sum [32]byte) string {
	u := sum[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

func licences(names []string) (out []licence) {
	for _, n := range names {
		if strings.HasPrefix(n, "LicenseRef-") {
			out = append(out, licence{licenceName{Name: strings.TrimPrefix(n, "LicenseRef-")}})
		} else {
			out = append(out, licence{licenceName{ID: n}})
		}
	}
	return out
}
