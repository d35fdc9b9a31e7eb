package v4

import (
	"net/http"
	"time"

	"github.com/certvigil/certvigil/internal/alerting"
)

// A historyRecord is one message that was sent.
type historyRecord struct {
	ID            string    `json:"id"`
	PolicyID      string    `json:"policy_id"`
	Name          string    `json:"name"`
	Description   string    `json:"description"`
	AlertType     string    `json:"alert_type"`
	AlertBody     string    `json:"alert_body"`
	Mechanism     string    `json:"mechanism"`
	MechanismType string    `json:"mechanism_type"`
	Sent          time.Time `json:"sent"`
}

func (h *Handler) history(w http.ResponseWriter, c call) error {
	query := c.URL.Query()
	number, size, err := pageOf(query)
	if err != nil {
		return err
	}
	const farthest = 1 << 40 // of any history; larger numbers would overflow
	span := alerting.Span{Limit: size, Offset: min(number-1, farthest/size) * size}
	if span.Since, err = instant(query, "since"); err != nil {
		return err
	}
	if span.Before, err = instant(query, "before"); err != nil {
		return err
	}
	records, total, err := h.o.Alerting.History(c.Context(), span)
	if err != nil {
		return err
	}
	list := make([]historyRecord, len(records))
	for i, r := range records {
		list[i] = historyRecord{r.ID, r.PolicyID, r.Name, r.Description, r.AlertType, r.Body, r.Mechanism, r.MechanismType, r.Sent}
	}
	succeed(w, http.StatusOK, list, nil, &resultInfo{Page: number, PerPage: size, Count: len(list), TotalCount: total, TotalPages: (total + size - 1) / size})
	return nil
}
