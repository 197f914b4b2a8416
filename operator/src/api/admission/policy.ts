import type { Schema } from '../structural.ts';
import { bans, checks, type Ban, type Check, type Right } from './checks.ts';
import { probeRule, probeValidation } from './probe.ts';
import { denyingBinding, validatingPolicy } from './validating.ts';
import { variables } from './variables.ts';

/** What the policy that checks who grants what is called, and its binding. */
export const admissionPolicyName = 'keywright';

/**
 * The ValidatingAdmissionPolicy: who may write what into an ApiKey. No account is exempt, the operator included: what changes
 * nothing needs nothing. One more validation shows that the policy acts: see `probe.ts`. The API server adds up 350,000 for a
 * check and allows 1,000,000 in one expression and 10,000,000 in a policy: a key with eight destinations and eight consumers
 * needs 20 checks, and five more when its finalizers and owner references change with it.
 */
export function admissionPolicy(): Schema {
  return validatingPolicy({
    name: admissionPolicyName,
    operations: ['CREATE', 'UPDATE'],
    resources: ['apikeys'],
    scope: 'Namespaced',
    others: [probeRule],
    rest: { variables, validations: [probeValidation, ...checks.map(toValidation), ...bans.map(toRefusal)] },
  });
}

/** What puts the policy in force, everywhere. */
export function admissionPolicyBinding(): Schema {
  return denyingBinding(admissionPolicyName);
}

function toValidation(check: Check): Schema {
  const { when, verb, or, name, purpose } = check;
  const asked = [check, ...(or === undefined ? [] : [or])].map(asks).join(' || ');
  const lacks = `'user "' + request.userInfo.username + '" has no right to "${verb}" ' + ${spelled(check)} + ' "' + ${name} + '" in the namespace "' + request.namespace + '"`;
  const instead = or === undefined ? '' : `, nor to "${or.verb}" ' + ${spelled(or)} + '`;
  return {
    expression: `variables.isProbe || !(${when}) || ${asked}`,
    reason: 'Forbidden',
    message: `the verb "${verb}" is missing; it is needed to ${purpose}`,
    messageExpression: `${lacks}${instead}: it is needed to ${purpose}'`,
  };
}

function asks({ verb, apiGroup, resource, subresource, name }: Right): string {
  return [
    `authorizer.group('${apiGroup}').resource(${resource})`,
    ...(subresource === undefined ? [] : [`subresource(${subresource})`]),
    `namespace(request.namespace).name(${name}).check('${verb}').allowed()`,
  ].join('.');
}

/** CEL of a resource as kubectl writes it. */
function spelled({ apiGroup, resource, subresource }: Right): string {
  return `${resource} + '.${apiGroup}${subresource === undefined ? '' : `/${subresource.slice(1, -1)}`}'`;
}

function toRefusal({ when, message, messageExpression }: Ban): Schema {
  return {
    ...{ expression: `variables.isProbe || !(${when})`, reason: 'Forbidden', message },
    ...(messageExpression === undefined ? {} : { messageExpression }),
  };
}
