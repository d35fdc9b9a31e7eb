package v4

import (
	"net/http"
	"strconv"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// A setting is what the reference product says of a hostname.
type setting struct {
	Hostname                    string `json:"hostname"`
	ChinaNetwork                bool   `json:"china_network"`
	ClientCertificateForwarding bool   `json:"client_certificate_forwarding"`
}

func (h *Handler) getSettings(w http.ResponseWriter, c call) error {
	list, err := h.o.Settings.HostnameSettings(c.Context())
	if err != nil {
		return err
	}
	h.answerSettings(w, c, list)
	return nil
}

// putSettings replaces the whole list; one that is left out is empty.
func (h *Handler) putSettings(w http.ResponseWriter, c call) error {
	body, err := readBody(w, c.Request)
	if err != nil {
		return err
	}
	list, err := readSettings(body)
	if err != nil {
		return err
	}
	check := func(now []inventory.HostnameSetting) error {
		return checkMatch(c.Request, inventory.SettingsVersion(now))
	}
	stored, err := h.o.Settings.SetHostnameSettings(c.Context(), list, check, c.actor)
	if err != nil {
		return at("/settings", err)
	}
	h.o.Logger.Info("hostname settings changed by the API", "settings", len(stored), "token", c.token.ID, "request_id", c.actor.RequestID)
	h.answerSettings(w, c, stored)
	return nil
}

func readSettings(body object) ([]inventory.HostnameSetting, error) {
	elements, err := body.list("settings")
	if err != nil {
		return nil, err
	}
	list := make([]inventory.HostnameSetting, 0, len(elements))
	for i, raw := range elements {
		o, err := readObject(raw, "/settings/"+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		s, err := readSetting(o)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

func readSetting(o object) (s inventory.HostnameSetting, err error) {
	raw := o.given("hostname")
	if raw == nil {
		return s, missing(o.place("hostname"))
	}
	if s.Hostname, err = readHostname(raw, o.place("hostname")); err != nil {
		return s, err
	}
	china, err := o.flag("china_network")
	if err != nil {
		return s, err
	}
	if china {
		return s, at(o.place("china_network"), fault.New(fault.Invalid, "china_network", "china_network can only be set to true where there is such a network, and here is none").
			WithHint("send false"))
	}
	s.ForwardClientCert, err = o.flag("client_certificate_forwarding")
	return s, err
}

func (h *Handler) answerSettings(w http.ResponseWriter, c call, stored []inventory.HostnameSetting) {
	list := make([]setting, len(stored))
	for i, s := range stored {
		list[i] = setting{Hostname: s.Hostname, ClientCertificateForwarding: s.ForwardClientCert}
	}
	w.Header().Set("ETag", etag(inventory.SettingsVersion(stored)))
	succeed(w, http.StatusOK, list, h.o.Remarks(c.Context(), stored), nil)
}
