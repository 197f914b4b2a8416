import { group, version } from '../meta.ts';
import type { Schema } from '../structural.ts';
import { checks, variables, type Check } from './checks.ts';

/** What the policy that checks who grants what is called, and its binding. */
export const admissionPolicyName = 'keywright';

const metadata = { name: admissionPolicyName, labels: { 'app.kubernetes.io/part-of': 'keywright' } };

/**
 * The ValidatingAdmissionPolicy: who may write what into an ApiKey. No account is exempt, the operator included: what
 * changes nothing needs nothing. The API server adds up 350,000 for a check and allows 1,000,000 in one expression and
 * 10,000,000 in a policy: a key with eight destinations and eight consumers needs 20 checks.
 */
export function admissionPolicy(): Schema {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata,
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: {
        matchPolicy: 'Equivalent',
        resourceRules: [
          {
            apiGroups: [group],
            apiVersions: [version],
            operations: ['CREATE', 'UPDATE'],
            resources: ['apikeys'],
            scope: 'Namespaced',
          },
        ],
      },
      variables,
      validations: checks.map(toValidation),
    },
  };
}

/** What puts the policy in force, everywhere. */
export function admissionPolicyBinding(): Schema {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata,
    spec: { policyName: admissionPolicyName, validationActions: ['Deny'] },
  };
}

function toValidation(check: Check): Schema {
  const { when, verb, apiGroup, resource, subresource, name, purpose } = check;
  const asked = [
    `authorizer.group('${apiGroup}').resource(${resource})`,
    ...(subresource === undefined ? [] : [`subresource(${subresource})`]),
    `namespace(request.namespace).name(${name}).check('${verb}').allowed()`,
  ].join('.');
  const spelled = `${resource} + '.${apiGroup}${subresource === undefined ? '' : `/${subresource.slice(1, -1)}`}'`;
  return {
    expression: `!(${when}) || ${asked}`,
    reason: 'Forbidden',
    message: `the verb "${verb}" is missing; it is needed to ${purpose}`,
    messageExpression: `'user "' + request.userInfo.username + '" has no right to "${verb}" ' + ${spelled} + ' "' + ${name} + '" in the namespace "' + request.namespace + '": it is needed to ${purpose}'`,
  };
}
