package enforcer

// A Reason says why a request was refused, for the log and for metrics. The
// client never sees it.
type Reason string

// The reasons.
const (
	ReasonBadHost       Reason = "bad_host"
	ReasonBadPath       Reason = "ambiguous_path"
	ReasonBadTarget     Reason = "bad_target"
	ReasonMisdirected   Reason = "misdirected"
	ReasonNoState       Reason = "no_state"
	ReasonNoApplication Reason = "no_application"

	ReasonNoCertificate Reason = "no_certificate"
	ReasonNoAuthority   Reason = "no_authority_for_hostname"
	ReasonTooMany       Reason = "too_many_certificates"
	ReasonTooLarge      Reason = "chain_too_large"
	ReasonTooManyNames  Reason = "too_many_names"
	ReasonTooManyRules  Reason = "too_many_constraints"
	ReasonKey           Reason = "key_not_accepted"
	ReasonLeafIsCA      Reason = "leaf_is_ca"
	ReasonCommonNames   Reason = "several_common_names"
	ReasonUsage         Reason = "wrong_extended_key_usage"
	ReasonKeyUsage      Reason = "wrong_key_usage"
	ReasonProfile       Reason = "malformed_certificate"
	ReasonNotYetValid   Reason = "not_yet_valid"
	ReasonExpired       Reason = "expired"
	ReasonUntrusted     Reason = "untrusted"
	ReasonConstraint    Reason = "not_permitted_for_bundle"
	ReasonRevoked       Reason = "revoked" // and good but for that
	ReasonStaleCRL      Reason = "revocation_list_stale"

	ReasonBlocked  Reason = "blocked_by_policy"
	ReasonNoPolicy Reason = "no_policy_admits"
)
