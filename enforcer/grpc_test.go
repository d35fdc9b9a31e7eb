package enforcer_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

type note = wrapperspb.StringValue

// echoService has one method of each kind. All answer in capitals.
var echoService = grpc.ServiceDesc{
	ServiceName: "test.Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(note)
		if err := decode(in); err != nil {
			return nil, err
		}
		if in.GetValue() == "fail" {
			return nil, status.Error(codes.FailedPrecondition, "as asked: 100 %")
		}
		md, _ := metadata.FromIncomingContext(ctx)
		_ = grpc.SetTrailer(ctx, metadata.Pairs("x-assertion", strings.Join(md["cf-access-jwt-assertion"], ",")))
		return wrapperspb.String(strings.ToUpper(in.GetValue())), nil
	}}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Server", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			in := new(note)
			if err := s.RecvMsg(in); err != nil {
				return err
			}
			for _, r := range strings.ToUpper(in.GetValue()) {
				if err := s.SendMsg(wrapperspb.String(string(r))); err != nil {
					return err
				}
			}
			return nil
		}},
		{StreamName: "Client", ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			var all string
			for {
				in := new(note)
				err := s.RecvMsg(in)
				if errors.Is(err, io.EOF) {
					return s.SendMsg(wrapperspb.String(strings.ToUpper(all)))
				}
				if err != nil {
					return err
				}
				all += in.GetValue()
			}
		}},
		{StreamName: "Both", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			for {
				in := new(note)
				err := s.RecvMsg(in)
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if err := s.SendMsg(wrapperspb.String(strings.ToUpper(in.GetValue()))); err != nil {
					return err
				}
			}
		}},
	},
}

// TestGRPC: every kind of call passes, to origins with and without TLS.
func TestGRPC(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA()
	for _, scheme := range []string{"h2c", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			var options []grpc.ServerOption
			if scheme == "https" {
				pair := ca.Issue(certtest.Server("127.0.0.1"), certtest.IP("127.0.0.1")).TLSChain()
				options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
			}
			server := grpc.NewServer(options...)
			server.RegisterService(&echoService, nil)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go func() { _ = server.Serve(l) }()
			t.Cleanup(server.Stop)
			g := newGuard(t, originAt(scheme+"://"+l.Addr().String()), func(s *enforcer.State) {
				s.Applications[0].OriginTLS = enforcer.OriginTLS{Roots: ca.Pool(), ID: "a"}
			})
			pair := g.james()
			conn := g.grpc(pair)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			t.Run("unary", func(t *testing.T) { unary(ctx, t, conn) })
			t.Run("server streaming", func(t *testing.T) {
				s := openStream(ctx, t, conn, "Server")
				sendNote(t, s, "abc")
				_ = s.CloseSend()
				receiveNotes(t, s, "A", "B", "C")
			})
			t.Run("client streaming", func(t *testing.T) {
				s := openStream(ctx, t, conn, "Client")
				sendNote(t, s, "a")
				sendNote(t, s, "b")
				_ = s.CloseSend()
				receiveNotes(t, s, "AB")
			})
			t.Run("both", func(t *testing.T) { both(ctx, t, conn) })
			t.Run("cut off", func(t *testing.T) {
				s := openStream(ctx, t, conn, "Both")
				sendNote(t, s, "a")
				if err := s.RecvMsg(new(note)); err != nil {
					t.Fatal(err)
				}
				g.revoke(cert.Fingerprint(pair.Leaf))
				if err := s.RecvMsg(new(note)); err == nil || errors.Is(err, io.EOF) {
					t.Errorf("the stream ended with %v", err)
				}
				if err := conn.Invoke(ctx, "/test.Echo/Unary", wrapperspb.String("a"), new(note)); status.Code(err) != codes.PermissionDenied {
					t.Errorf("a call afterwards: %v", err)
				}
			})
		})
	}
}

func (g *guard) grpc(pair *tls.Certificate) *grpc.ClientConn {
	g.t.Helper()
	cfg := g.tls(pair)
	cfg.ServerName = orders
	conn, err := grpc.NewClient("passthrough:///"+g.addr, grpc.WithTransportCredentials(credentials.NewTLS(cfg)), grpc.WithAuthority(orders))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func unary(ctx context.Context, t *testing.T, conn *grpc.ClientConn) {
	out, trailer := new(note), metadata.MD{}
	if err := conn.Invoke(ctx, "/test.Echo/Unary", wrapperspb.String("abc"), out, grpc.Trailer(&trailer)); err != nil || out.GetValue() != "ABC" {
		t.Errorf("%q, %v", out.GetValue(), err)
	}
	if a := trailer["x-assertion"]; len(a) != 1 || strings.Count(a[0], ".") != 2 {
		t.Errorf("the origin saw the assertion %q", a)
	}
	err := conn.Invoke(ctx, "/test.Echo/Unary", wrapperspb.String("fail"), out)
	if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "as asked: 100 %" {
		t.Errorf("a failure arrived as %v", err)
	}
	if err := conn.Invoke(ctx, "/test.Echo/Unknown", wrapperspb.String("a"), out); status.Code(err) != codes.Unimplemented {
		t.Errorf("an unknown method: %v", err)
	}
	large := strings.Repeat("a", 3<<20)
	if err := conn.Invoke(ctx, "/test.Echo/Unary", wrapperspb.String(large), out); err != nil || out.GetValue() != strings.ToUpper(large) {
		t.Errorf("a large message: %v", err)
	}
}

// both waits for each answer before it sends the next message.
func both(ctx context.Context, t *testing.T, conn *grpc.ClientConn) {
	s := openStream(ctx, t, conn, "Both")
	for _, message := range []string{"a", "b", "c"} {
		sendNote(t, s, message)
		out := new(note)
		if err := s.RecvMsg(out); err != nil || out.GetValue() != strings.ToUpper(message) {
			t.Fatalf("%q, %v", out.GetValue(), err)
		}
	}
	_ = s.CloseSend()
	receiveNotes(t, s)
}

func openStream(ctx context.Context, t *testing.T, conn *grpc.ClientConn, method string) grpc.ClientStream {
	t.Helper()
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Echo/"+method)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sendNote(t *testing.T, s grpc.ClientStream, message string) {
	t.Helper()
	if err := s.SendMsg(wrapperspb.String(message)); err != nil {
		t.Fatal(err)
	}
}

// receiveNotes wants these messages and then a proper end.
func receiveNotes(t *testing.T, s grpc.ClientStream, want ...string) {
	t.Helper()
	for _, w := range want {
		out := new(note)
		if err := s.RecvMsg(out); err != nil || out.GetValue() != w {
			t.Fatalf("%q, want %q: %v", out.GetValue(), w, err)
		}
	}
	if err := s.RecvMsg(new(note)); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
}
