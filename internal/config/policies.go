package config

import (
	"fmt"
	"net/netip"
)

// Policies are the files of the policies of listeners: what they do not allow, nobody can do
// over that listener.
type Policies struct {
	HTTP  string `yaml:"http"`  // "" = none: everybody's own policies decide
	HTTPS string `yaml:"https"` // likewise
	Play  string `yaml:"play"`  // likewise
}

// Files are the files by the name of their listener.
func (p *Policies) Files() map[string]string {
	all := map[string]string{}
	for name, file := range map[string]string{"http": p.HTTP, "https": p.HTTPS, "play": p.Play} {
		if file != "" {
			all[name] = file
		}
	}
	return all
}

// checkPolicies finds policies of listeners that there are not: nobody would be held by them.
func (c *Config) checkPolicies() (wrong Mistakes) {
	for name, file := range c.Policies.Files() {
		listens := map[string]string{"http": c.HTTP, "https": c.HTTPS, "play": c.Play}[name]
		if listens == "" {
			wrong = append(wrong, Mistake{Setting: "policies." + name, Text: fmt.Sprintf("%q: there is no listener %s, so the policy would hold nobody", file, name)})
		}
	}
	return wrong
}

// Proxies are the networks of trusted_proxies. Those that are none are left out; Check finds
// them.
func (c *Config) Proxies() (all []netip.Prefix) {
	for _, text := range c.TrustedProxies {
		if p, err := parseProxy(text); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// parseProxy reads a network or one address.
func parseProxy(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		if p != p.Masked() {
			return p, fmt.Errorf("%q: the network is %s", text, p.Masked())
		}
		return p, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q: write an address or a network, such as 10.0.0.5 or 10.0.0.0/8", text)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}
