import { randomUUID } from 'node:crypto';
import { AwsError } from './error.ts';
import type { Caller, Identities, Session } from './identities.ts';

const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/';

/** Actions of STS; only the second comes without a signature. */
export type StsAction = 'AssumeRole' | 'AssumeRoleWithWebIdentity' | 'GetCallerIdentity';

/** The action of a request of the Query protocol (`Action=…&Version=2011-06-15&…`). */
export function stsAction(form: URLSearchParams): StsAction {
  const action = form.get('Action');
  if (form.get('Version') !== '2011-06-15') throw new AwsError('InvalidAction', 'Could not find the version');
  if (action === 'AssumeRole' || action === 'AssumeRoleWithWebIdentity' || action === 'GetCallerIdentity') return action;
  throw new AwsError('InvalidAction', `Could not find operation ${action}`);
}

/** Answers in XML. `caller` proves a signature, where the action asks for one. */
export function answerSts(action: StsAction, form: URLSearchParams, identities: Identities, caller: () => Caller): string {
  const seconds = form.has('DurationSeconds') ? Number(form.get('DurationSeconds')) : undefined;
  switch (action) {
    case 'AssumeRole': {
      const externalId = form.get('ExternalId') ?? undefined;
      return sessionXml(action, identities.assumeRole(caller(), must(form, 'RoleArn'), sessionName(form), externalId, seconds));
    }
    case 'AssumeRoleWithWebIdentity': {
      const token = must(form, 'WebIdentityToken');
      const session = identities.assumeRoleWithWebIdentity(token, must(form, 'RoleArn'), sessionName(form), seconds);
      return sessionXml(action, session);
    }
    case 'GetCallerIdentity':
      return resultXml(action, `<Arn>${escape(caller().arn)}</Arn>`);
  }
}

/** An error of the Query protocol. */
export function stsErrorXml(error: AwsError): string {
  return (
    `<ErrorResponse xmlns="${NAMESPACE}"><Error><Type>Sender</Type><Code>${escape(queryCode(error.code))}</Code>` +
    `<Message>${escape(error.message)}</Message></Error><RequestId>${randomUUID()}</RequestId></ErrorResponse>`
  );
}

/** The Query protocol has older names for what is wrong with a signature. */
function queryCode(code: string): string {
  switch (code) {
    case 'UnrecognizedClientException':
      return 'InvalidClientTokenId';
    case 'InvalidSignatureException':
      return 'SignatureDoesNotMatch';
    case 'MissingAuthenticationTokenException':
      return 'MissingAuthenticationToken';
    case 'IncompleteSignatureException':
      return 'IncompleteSignature';
    case 'ThrottlingException':
      return 'Throttling';
    default:
      return code;
  }
}

function sessionXml(action: StsAction, session: Session): string {
  const expiration = new Date(session.expiresAt).toISOString().replace(/\.\d+Z$/, 'Z');
  return resultXml(
    action,
    `<Credentials><AccessKeyId>${session.accessKeyId}</AccessKeyId>` +
      `<SecretAccessKey>${escape(session.secretAccessKey)}</SecretAccessKey>` +
      `<SessionToken>${escape(session.sessionToken)}</SessionToken><Expiration>${expiration}</Expiration></Credentials>` +
      `<AssumedRoleUser><Arn>${escape(session.arn)}</Arn><AssumedRoleId>AROAFAKE:session</AssumedRoleId></AssumedRoleUser>`,
  );
}

function resultXml(action: StsAction, result: string): string {
  return (
    `<${action}Response xmlns="${NAMESPACE}"><${action}Result>${result}</${action}Result>` +
    `<ResponseMetadata><RequestId>${randomUUID()}</RequestId></ResponseMetadata></${action}Response>`
  );
}

function sessionName(form: URLSearchParams): string {
  const name = must(form, 'RoleSessionName');
  if (!/^[\w+=,.@-]{2,64}$/.test(name)) throw new AwsError('ValidationError', 'The role session name is not valid.');
  return name;
}

function must(form: URLSearchParams, member: string): string {
  const value = form.get(member);
  if (value === null || value === '') throw new AwsError('ValidationError', `Value at '${member}' must not be null`);
  return value;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
