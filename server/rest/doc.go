// Package rest is the API of onedoor.v1 as JSON over HTTP.
//
//	HTTP request
//	   │  HTTPServer   limits of size and time, HTTP/1.1 and HTTP/2
//	   │  NewHandler   route, one body, the two headers that may pass, the TLS peer
//	   │  grpc-gateway JSON to protobuf and back
//	   ▼
//	InProcess          a client connection without a socket
//	   │  the very interceptors that gRPC callers pass
//	   ▼
//	the handlers of server/api
//
// Nothing in a header is an identity. The peer is the one of the TLS connection,
// the metadata that the handlers see is made here from an allow-list and not by
// the gateway, and no RPC is reached but through the chain.
//
// A request that cannot be read (no JSON object, an unknown or repeated field, an
// unknown parameter) is refused here, before the chain, as a gRPC server refuses a
// message that it cannot decode. The schema of the requests is public; what they
// are allowed to do is judged behind the chain alone.
package rest
