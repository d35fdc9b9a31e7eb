package app

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/config"
)

// CheckConfig checks what a configuration says beyond its own text: that every
// part accepts it. It opens no store and no connection.
func CheckConfig(cfg *config.Config) error {
	if _, err := setup(cfg, nil, nil); err != nil {
		return err
	}
	if !guards(cfg) {
		return nil
	}
	return checkGuard(cfg)
}

// checkGuard tries the applications on an enforcer of its own. What the store
// would add is made up: it can be refused for nothing that the file says.
func checkGuard(cfg *config.Config) error {
	e, err := enforcer.New(enforcer.Options{})
	if err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return fmt.Errorf("making a key to try the configuration with: %w", err)
	}
	madeUp := strings.Repeat("0", 64)
	state := declared(cfg)
	state.SigningKeys = []enforcer.SigningKey{{KID: madeUp, Key: key}}
	for i := range state.Applications {
		state.Applications[i].AUD = madeUp
	}
	return e.Apply(state)
}
