package sandboxapi

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"pinvault/generated/sandbox"
	"pinvault/impl/ondemand"
	"pinvault/impl/problem"
	"pinvault/impl/space"
)

// ListRules lists the space's rules.
func (a *API) ListRules(context.Context, sandbox.ListRulesRequestObject) (sandbox.ListRulesResponseObject, error) {
	listed := a.space.Rules.List()
	all := make([]sandbox.Rule, len(listed))
	for i, r := range listed {
		all[i] = ruleOf(r)
	}
	return sandbox.ListRules200JSONResponse{Rules: all}, nil
}

// CreateRule sets a rule.
func (a *API) CreateRule(ctx context.Context, r sandbox.CreateRuleRequestObject) (sandbox.CreateRuleResponseObject, error) {
	if err := a.has(ctx, value(r.Body.Card)); err != nil {
		return nil, err
	}
	made, err := a.space.Rules.Add(a.asked(*r.Body))
	if err != nil {
		return nil, err
	}
	return sandbox.CreateRule201JSONResponse(ruleOf(ondemand.Listed{Rule: made})), nil
}

// errNoCard is the refusal of a rule with a card that the space does not have.
var errNoCard = errors.New("a rule with a card that there is not")

// has is errNoCard for the id of a card that the space does not have.
func (a *API) has(ctx context.Context, cardID string) error {
	if cardID == "" {
		return nil
	}
	there, err := a.box.Has(ctx, cardID)
	if err == nil && !there {
		err = errNoCard
	}
	return err
}

// DeleteRules removes all rules.
func (a *API) DeleteRules(context.Context, sandbox.DeleteRulesRequestObject) (sandbox.DeleteRulesResponseObject, error) {
	a.space.Rules.Clear()
	return sandbox.DeleteRules204Response{}, nil
}

// DeleteRule removes a rule.
func (a *API) DeleteRule(_ context.Context, r sandbox.DeleteRuleRequestObject) (sandbox.DeleteRuleResponseObject, error) {
	if !a.space.Rules.Remove(r.RuleID) {
		return nil, space.NotFound
	}
	return sandbox.DeleteRule204Response{}, nil
}

// asked is the rule that a request describes.
func (a *API) asked(r sandbox.RuleRequest) ondemand.Rule {
	rule := ondemand.Rule{ID: value(r.ID), Client: a.client(r.Client), Operation: value(r.Operation), Card: value(r.Card), Times: int(value(r.Times)),
		Probability: r.Probability, Row: value(r.Row), Fault: string(value(r.Fault)), Drop: string(value(r.Drop)),
		Event: value(r.Event), Delivery: string(value(r.Delivery))}
	if r.Delay != nil {
		rule.Delay = &ondemand.Delay{Distribution: string(r.Delay.Distribution), MinMs: int(r.Delay.MinMs)}
		if r.Delay.MaxMs != nil {
			most := int(*r.Delay.MaxMs)
			rule.Delay.MaxMs = &most
		}
	}
	return rule
}

// client is a client's id as the space itself knows it, also where it has the space's id at its end.
func (a *API) client(id *string) string { return strings.TrimSuffix(value(id), "@"+a.space.ID) }

// ruleOf is a rule as it is shown.
func ruleOf(r ondemand.Listed) sandbox.Rule {
	rule := sandbox.Rule{ID: r.ID, Client: told(r.Client), Operation: told(r.Operation), Card: told(r.Card), Probability: 1, Row: told(r.Row), Taken: r.Taken}
	if r.Probability != nil {
		rule.Probability = *r.Probability
	}
	if r.Times > 0 {
		times := int32(r.Times) //nolint:gosec // at most a million, as the document has it
		rule.Times = &times
	}
	if r.Fault != "" {
		fault := sandbox.RuleFault(r.Fault)
		rule.Fault = &fault
	}
	if r.Drop != "" {
		drop := sandbox.Drop(r.Drop)
		rule.Drop = &drop
	}
	rule.Event = told(r.Event)
	if r.Delivery != "" {
		delivery := sandbox.RuleDelivery(r.Delivery)
		rule.Delivery = &delivery
	}
	if d := r.Delay; d != nil {
		rule.Delay = &sandbox.Delay{Distribution: sandbox.DelayDistribution(d.Distribution), MinMs: int32(d.MinMs)} //nolint:gosec // at most a minute
		if d.MaxMs != nil {
			most := int32(*d.MaxMs) //nolint:gosec // at most a minute
			rule.Delay.MaxMs = &most
		}
	}
	return rule
}

// ListRows lists the documented rows.
func (a *API) ListRows(_ context.Context, r sandbox.ListRowsRequestObject) (sandbox.ListRowsResponseObject, error) {
	all := []sandbox.Row{}
	for _, row := range a.rows.All() {
		if r.Params.Contract != nil && *r.Params.Contract != row.Contract || r.Params.Operation != nil && *r.Params.Operation != row.Operation {
			continue
		}
		all = append(all, rowOf(row, a.space.URL))
	}
	return sandbox.ListRows200JSONResponse{Rows: all}, nil
}

// rowOf is a row as it is shown, with a call of a server at a URL.
func rowOf(r *ondemand.Row, url string) sandbox.Row {
	row := sandbox.Row{Contract: r.Contract, Operation: r.Operation, Name: r.Example, Row: r.String(), Status: int32(r.Reply.Status), //nolint:gosec // a status
		Code: told(r.Code), Summary: r.When(), By: sandbox.RowBy(r.By), Fault: told(r.Fault), Docs: told(r.Docs()), Curl: r.Curl(url)}
	if len(r.After) > 0 {
		after := make([]string, len(r.After))
		for i, step := range r.After {
			after[i] = step.String()
		}
		row.After = &after
	}
	return row
}

// Rows of the error table for what is wrong with a rule.
var (
	effectMissing    = problem.Row{Status: http.StatusUnprocessableEntity, Code: "effect_missing", Title: "A rule needs a row, a fault, a drop, a delivery or a delay."}
	operationUnknown = problem.Row{Status: http.StatusUnprocessableEntity, Code: "operation_unknown", Title: "No contract has such an operation."}
	cardUnknown      = problem.Row{Status: http.StatusUnprocessableEntity, Code: "card_unknown", Title: "The space has no such card."}
	rowUnknown       = problem.Row{Status: http.StatusUnprocessableEntity, Code: "row_unknown", Title: "No operation has such a row."}
	invalidField     = problem.Row{Status: http.StatusUnprocessableEntity, Code: "invalid_field", Title: "A field has an invalid value."}
)
