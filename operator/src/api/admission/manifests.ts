import type { Schema } from '../structural.ts';
import { operatorPolicy, operatorPolicyBinding } from './operatorpolicy.ts';
import { admissionPolicy, admissionPolicyBinding } from './policy.ts';

/**
 * Both admission policies with their bindings, as they are installed.
 *
 * @param operatorNamespace where the operator runs; in the chart, a Helm template expression.
 */
export function admissionManifests(operatorNamespace: string): readonly Schema[] {
  return [admissionPolicy(), admissionPolicyBinding(), operatorPolicy(operatorNamespace), operatorPolicyBinding()];
}
