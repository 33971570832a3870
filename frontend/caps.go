package frontend

import (
	"errors"
	"strings"

	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"
)

// caps are the frontend capabilities that a client may ask for. They are in the label moby.buildkit.frontend.caps of the frontend's image
// too.
var caps = map[string]bool{
	"moby.buildkit.frontend.inputs":      true,
	"moby.buildkit.frontend.subrequests": true,
	"moby.buildkit.frontend.contexts":    true,
}

// checkBuildKit refuses a BuildKit that cannot make the layers that every other makes: before 0.11 it writes the names of owners into them.
func checkBuildKit(caps apicaps.CapSet) error {
	if caps.Supports(pb.CapSourceDateEpoch) != nil {
		return errors.New("this BuildKit is too old for Kubefiles: 0.11 or later is needed, Docker Engine 24 or later has it. " +
			"`docker buildx create --use` starts a new one next to an old engine")
	}
	return nil
}

// checkCaps refuses a request that needs a capability which this frontend lacks. "+forward" only means that a frontend may forward the
// request.
func checkCaps(requested string) error {
	for _, name := range strings.FieldsFunc(requested, func(r rune) bool { return r == ',' }) {
		name, _, _ = strings.Cut(name, "+")
		if !caps[name] {
			return grpcerrors.WrapCode(errdefs.NewUnsupportedFrontendCapError(name), codes.Unimplemented)
		}
	}
	return nil
}
