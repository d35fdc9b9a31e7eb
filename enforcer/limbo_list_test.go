package enforcer_test

// A disagreement is a case of x509-limbo on which our verdict differs.
type disagreement struct {
	valid bool // our verdict
	why   string
}

// Why we differ, where several cases share the reason.
const (
	// The cases expect a certificate to be refused for not naming the server
	// that was dialled. A client is not dialled: which names it may have is said
	// by a bundle's constraints and by policies, each with tests of its own.
	notOurName = "valid but for the name of the server; names are a matter of constraints and policies"
	// RFC 5280 §6.1 does not look at key identifiers: they help to find a path,
	// and the signature decides. OpenSSL before 3 leaves them out by default.
	keyIdentifier = "key identifiers help to find a path; the signature decides who issued a certificate"
	// The rules of the public web (CA/Browser Forum) bind CAs that browsers
	// trust, not those of one's own devices.
	publicWebOnly = "a rule for CAs that browsers trust, which RFC 5280 does not have"
	// An extension that is read and enforced means the same either way.
	criticality = "enforced whether it is marked critical or not"
)

// disagreements are all of them. Those with valid true were gone through one by
// one: in none does a client get in whom its issuer did not mean to let in.
var disagreements = map[string]disagreement{
	// We refuse what the case allows.
	"cve::cve-2024-0567":                          {false, "ten certificates; we read six"},
	"online::google.com":                          {false, "over 100 names"},
	"online::microsoft.com":                       {false, "over 100 names"},
	"pathlen::max-chain-depth-1-self-issued":      {false, "we count self-issued certificates too"},
	"pathlen::self-issued-certs-pathlen":          {false, "crypto/x509 counts self-issued certificates too"},
	"pathlen::validation-ignores-pathlen-in-leaf": {false, "the leaf is a CA"},
	"rfc5280::ca-as-leaf":                         {false, "the leaf is a CA"},
	"rfc5280::nc::nc-forbids-othername-noop":      {false, "name constraints that cannot be compared refuse everybody"},
	"rfc5280::nc::permitted-dn-match":             {false, "name constraints that cannot be compared refuse everybody"},
	"rfc5280::nc::permitted-self-issued":          {false, "crypto/x509 holds self-issued intermediates to name constraints too"},
	"rfc5280::validity::notafter-fractional":      {false, "notAfter is an instant here: the rest of that second is after it"},

	// We allow what the case refuses.
	"crl::crlnumber-missing": {true, "cfssl writes lists without CRLNumber; thisUpdate then may not go back"},

	"rfc5280::aki::leaf-missing-aki":                       {true, keyIdentifier},
	"rfc5280::aki::intermediate-missing-aki":               {true, keyIdentifier},
	"rfc5280::aki::cross-signed-root-missing-aki":          {true, keyIdentifier},
	"rfc5280::ski::root-missing-ski":                       {true, keyIdentifier},
	"rfc5280::ski::intermediate-missing-ski":               {true, keyIdentifier},
	"webpki::aki::root-with-aki-missing-keyidentifier":     {true, keyIdentifier},
	"webpki::aki::root-with-aki-authoritycertissuer":       {true, keyIdentifier},
	"webpki::aki::root-with-aki-authoritycertserialnumber": {true, keyIdentifier},
	"webpki::aki::root-with-aki-all-fields":                {true, keyIdentifier},
	"webpki::aki::root-with-aki-ski-mismatch":              {true, keyIdentifier},

	"rfc5280::nc::permitted-dns-match-noncritical":    {true, criticality + "; webpki::nc::permitted-dns-match-noncritical says the contrary"},
	"rfc5280::pc::ica-noncritical-pc":                 {true, criticality},
	"rfc5280::root-non-critical-basic-constraints":    {true, criticality},
	"rfc5280::san::noncritical-with-empty-subject":    {true, criticality},
	"webpki::san::san-critical-with-nonempty-subject": {true, criticality},
	"webpki::eku::ee-critical-eku":                    {true, criticality},

	"rfc5280::nc::invalid-dnsname-leading-period": {true, "crypto/x509 reads .example.com as the names below example.com, which is narrower than without the dot"},
	"rfc5280::san::underscore-dns":                {true, "names of devices have underscores; they are compared as text"},
	"rfc5280::san::ip-in-dns":                     {true, "a DNS name is compared with patterns for DNS names alone, whatever it looks like"},

	"webpki::eku::ee-anyeku":      {true, "any use includes clientAuth (RFC 5280 §4.2.1.12)"},
	"webpki::eku::ee-without-eku": {true, "no restriction, unless require_eku is set; rfc5280::eku::ee-without-eku says so too"},
	"webpki::eku::root-has-eku":   {true, publicWebOnly + "; that of a CA narrows those of its leaves"},
	"webpki::san::no-san":         {true, "clients are often named by a common name alone"},
	"webpki::v1-cert":             {true, publicWebOnly + "; OpenSSL before 3 makes leaves without extensions, and none can act as a CA"},

	"webpki::san::public-suffix-wildcard-san":                   {true, publicWebOnly},
	"webpki::san::public-suffix-multi-label-wildcard-san":       {true, publicWebOnly},
	"webpki::san::public-suffix-private-namespace-wildcard-san": {true, publicWebOnly},
	"webpki::san::san-wildcard-only":                            {true, notOurName},
	"webpki::san::san-wildcard-only-tld":                        {true, notOurName},
	"webpki::san::wildcard-embedded-leftmost-san":               {true, notOurName},
	"webpki::san::wildcard-not-in-leftmost-san":                 {true, notOurName},
	"webpki::san::wildcard-match-across-labels-san":             {true, notOurName},
	"webpki::san::wildcard-embedded-ulabel-san":                 {true, notOurName},
	"webpki::san::mismatch-domain-san":                          {true, notOurName},
	"webpki::san::mismatch-subdomain-san":                       {true, notOurName},
	"webpki::san::mismatch-subdomain-apex-san":                  {true, notOurName},
	"webpki::san::mismatch-apex-subdomain-san":                  {true, notOurName},
	"webpki::cn::ipv4-hex-mismatch":                             {true, notOurName},
	"webpki::cn::ipv4-leading-zeros-mismatch":                   {true, notOurName},
	"webpki::cn::ipv6-uppercase-mismatch":                       {true, notOurName},
	"webpki::cn::ipv6-uncompressed-mismatch":                    {true, notOurName},
	"webpki::cn::ipv6-non-rfc5952-mismatch":                     {true, notOurName},
	"webpki::cn::punycode-not-in-san":                           {true, notOurName},
	"webpki::cn::utf8-vs-punycode-mismatch":                     {true, notOurName},
	"webpki::cn::not-in-san":                                    {true, notOurName},
	"webpki::cn::case-mismatch":                                 {true, notOurName},
}
