package issuer

import (
	"context"

	api "pinvault/generated/issuer"
	"pinvault/impl/pin"
)

// RequestApproval asks for an approval.
func (a *API) RequestApproval(ctx context.Context, r api.RequestApprovalRequestObject) (api.RequestApprovalResponseObject, error) {
	n := pin.NewApproval{Action: pin.ApprovalAction(r.Body.Action)}
	set(&n.ClientID, r.Body.ClientID)
	made, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "requestApproval " + r.CardID, body: r.Body}, pin.Memo{Description: r.Body.Reason},
		func(m pin.Memo) (pin.Approval, error) {
			return a.vault.RequestApproval(ctx, pin.Query{CardID: r.CardID}, n, m)
		})
	return api.RequestApproval201JSONResponse{Body: approval(made)}, err
}

// ListApprovals pages through the approvals in the caller's reach.
func (a *API) ListApprovals(ctx context.Context, r api.ListApprovalsRequestObject) (api.ListApprovalsResponseObject, error) {
	p := page(r.Params.Limit, r.Params.Cursor)
	var state pin.ApprovalState
	setText(&state, r.Params.State)
	found, err := a.vault.Approvals(ctx, state, p)
	if err != nil {
		return nil, err
	}
	found, next := cut(p, found, func(a pin.Approval) string { return a.ID })
	return api.ListApprovals200JSONResponse{Items: each(found, approval), NextCursor: next}, nil
}

// GetApproval shows an approval.
func (a *API) GetApproval(ctx context.Context, r api.GetApprovalRequestObject) (api.GetApprovalResponseObject, error) {
	found, err := a.vault.Approval(ctx, r.ApprovalID)
	return api.GetApproval200JSONResponse(approval(found)), err
}

// DecideApproval grants or rejects an approval.
func (a *API) DecideApproval(ctx context.Context, r api.DecideApprovalRequestObject) (api.DecideApprovalResponseObject, error) {
	var m pin.Memo
	set(&m.Description, r.Body.Reason)
	decided, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "decideApproval " + r.ApprovalID, body: r.Body}, m,
		func(m pin.Memo) (pin.Approval, error) {
			return a.vault.DecideApproval(ctx, r.ApprovalID, r.Body.Decision == api.ApprovalDecisionDecisionGrant, m)
		})
	return api.DecideApproval200JSONResponse{Body: approval(decided)}, err
}

// CancelApproval takes a request back.
func (a *API) CancelApproval(ctx context.Context, r api.CancelApprovalRequestObject) (api.CancelApprovalResponseObject, error) {
	ended, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "cancelApproval " + r.ApprovalID}, pin.Memo{},
		func(m pin.Memo) (pin.Approval, error) { return a.vault.CancelApproval(ctx, r.ApprovalID, m) })
	return api.CancelApproval200JSONResponse{Body: approval(ended)}, err
}

// approval is an approval as the document shows it.
func approval(a pin.Approval) api.Approval {
	return api.Approval{ApprovalID: a.ID, ProgramID: a.ProgramID, CardID: a.CardID, Action: api.ApprovalAction(a.Action), ClientID: a.ClientID,
		RequestedBy: a.RequestedBy, Reason: text(a.Reason), State: api.ApprovalState(a.State), DecidedBy: text(a.DecidedBy),
		CreatedAt: a.CreatedAt, ExpiresAt: a.ExpiresAt, DecidedAt: when(a.DecidedAt), EndedAt: when(a.EndedAt)}
}
