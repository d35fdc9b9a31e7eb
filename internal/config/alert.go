package config

import (
	"fmt"
	"slices"
)

func (c *checker) validateAlerts(cfg *Config) {
	names, channels := map[string]bool{}, cfg.channelNames()
	for i, a := range cfg.Alerts {
		at := fmt.Sprintf("alert[%d]", i)
		c.validateName(at, a.Name, names)
		c.validateKinds(at+".kinds", a.Kinds)
		c.validateThresholds(at+".before", a.Before)
		c.validateReferences(at+".channels", a.Channels, channels)
	}
}

func (c *checker) validateKinds(key string, names []string) {
	if len(names) == 0 {
		c.fail(key, "leave the key out to mean all kinds", "the list is empty, so the rule is about nothing")
	}
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", key, i)
		if c.validateChoice(at, name, kinds...) && slices.Index(names, name) < i {
			c.fail(at, "remove it", "%q is listed twice", name)
		}
	}
}

func (c *checker) validateThresholds(key string, before []Duration) {
	if len(before) == 0 {
		c.fail(key, `leave the key out to mean ["30d", "14d"]`, "the list is empty, so the rule never speaks")
	}
	for i, d := range before {
		at := fmt.Sprintf("%s[%d]", key, i)
		if slices.Index(before, d) < i && !c.failed(at) {
			c.fail(at, "remove it", "the threshold %s is listed twice", d)
		}
	}
}
