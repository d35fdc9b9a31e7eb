package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

const tokenColumns = `id, name, scopes, item_id, hash, created_at, expires_at, last_used_at`

// CreateToken stores a token that inventory.NewToken has made. A name in use is
// a fault.Conflict.
func (s *Store) CreateToken(ctx context.Context, token inventory.Token, actor inventory.Actor) error {
	const hashSize = 32
	if len(token.Hash) != hashSize || token.Name == "" || token.ID == "" {
		return fault.New(fault.Invalid, "token", "a token needs an id, a name and the SHA-256 of its secret")
	}
	return s.write(ctx, "creating a token", func(t *tx) error {
		var expires sql.NullInt64
		if token.ExpiresAt != nil {
			expires = millis(*token.ExpiresAt)
		}
		_, err := t.exec(ctx, `INSERT INTO tokens (`+tokenColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, NULL)`,
			token.ID, token.Name, jsonText(orEmpty(token.Scopes)), nullText(token.ItemID), token.Hash, token.CreatedAt.UnixMilli(), expires)
		if isUnique(err) {
			return fault.New(fault.Conflict, "name_in_use", "there is a token %q already", token.Name).
				WithField("name").WithHint("choose another name, or revoke that one")
		}
		if err != nil {
			return err
		}
		return t.audit(ctx, s.now(), actor, change{
			action: "token.create", object: "token:" + token.ID,
			after: describeToken(token),
		})
	})
}

// describeToken tells nothing of the secret, not even its hash.
func describeToken(token inventory.Token) map[string]any {
	expires := ""
	if token.ExpiresAt != nil {
		expires = token.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return map[string]any{"name": token.Name, "scopes": orEmpty(token.Scopes), "item": token.ItemID, "expires_at": expires}
}

// Tokens returns every token by name.
func (s *Store) Tokens(ctx context.Context) ([]inventory.Token, error) {
	var tokens []inventory.Token
	err := s.read(ctx, "listing tokens", func(t *tx) (err error) {
		tokens, err = collect(ctx, t, scanToken, `SELECT `+tokenColumns+` FROM tokens ORDER BY name`)
		return err
	})
	return tokens, err
}

// RevokeToken deletes the token of an id, a unique prefix of at least 6 digits
// of one, or a name.
func (s *Store) RevokeToken(ctx context.Context, ref string, actor inventory.Actor) error {
	return s.write(ctx, "revoking a token", func(t *tx) error {
		token, err := t.token(ctx, ref)
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM tokens WHERE id = ?`, token.ID); err != nil {
			return err
		}
		return t.audit(ctx, s.now(), actor, change{
			action: "token.revoke", object: "token:" + token.ID,
			before: describeToken(token),
		})
	})
}

func (t *tx) token(ctx context.Context, ref string) (inventory.Token, error) {
	tokens, err := collect(ctx, t, scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE id = ? OR name = ?
		ORDER BY CASE WHEN id = ? THEN 0 ELSE 1 END LIMIT 1`, ref, ref, ref)
	if from, to, ok := prefixRange(ref); ok && err == nil && len(tokens) == 0 {
		tokens, err = collect(ctx, t, scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE id >= ? AND id < ?`, from, to)
	}
	switch {
	case err != nil:
		return inventory.Token{}, err
	case len(tokens) == 0:
		return inventory.Token{}, fault.New(fault.NotFound, "no_token", "there is no token %q", ref).
			WithHint("name it by its name or id; `certvigil token list` shows them")
	case len(tokens) > 1:
		return inventory.Token{}, fault.New(fault.Conflict, "ambiguous", "%q names more than one token", ref).WithHint("give its whole id")
	}
	return tokens[0], nil
}

// TokenByHash returns the token whose secret has this SHA-256, whether it has
// expired or not, or fault.NotFound.
func (s *Store) TokenByHash(ctx context.Context, hash []byte) (inventory.Token, error) {
	var token inventory.Token
	err := s.read(ctx, "looking up a token", func(t *tx) (err error) {
		token, err = scanToken(t.row(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE hash = ?`, hash))
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "no_token", "there is no such token")
		}
		return err
	})
	return token, err
}

// TouchToken records that a token was used, to the minute: a busy client does
// not cost a write for each request.
func (s *Store) TouchToken(ctx context.Context, id string, at time.Time) error {
	stale := at.Add(-time.Minute).UnixMilli()
	var due bool
	err := s.read(ctx, "reading a token's last use", func(t *tx) error {
		return t.row(ctx, `SELECT EXISTS (SELECT 1 FROM tokens WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?))`,
			id, stale).Scan(&due)
	})
	if err != nil || !due {
		return err
	}
	return s.write(ctx, "recording a token's use", func(t *tx) error {
		_, err := t.exec(ctx, `UPDATE tokens SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)`,
			at.UnixMilli(), id, stale)
		return err
	})
}

func scanToken(row scanner) (token inventory.Token, err error) {
	var (
		scopes        string
		item          sql.NullString
		created       int64
		expires, used sql.NullInt64
	)
	if err = row.Scan(&token.ID, &token.Name, &scopes, &item, &token.Hash, &created, &expires, &used); err != nil {
		return token, err
	}
	token.ItemID, token.CreatedAt = item.String, fromMillis(created)
	token.ExpiresAt, token.LastUsedAt = optional(expires), optional(used)
	return token, json.Unmarshal([]byte(scopes), &token.Scopes)
}
