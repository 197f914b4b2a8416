import { randomUUID } from 'node:crypto';
import { durationMs } from '../../domain/duration.ts';
import { stalled, waiting } from '../../domain/failure.ts';
import type { Location } from '../../domain/key.ts';
import type { Clock } from '../../domain/time.ts';
import type { Mark } from '../../domain/version.ts';
import { refuseForeign } from '../condition.ts';
import { permitAwsEndpoint, type AwsService, type EndpointRules } from '../endpoint.ts';
import { parseSegments } from '../location.ts';
import type { DeliveredRecord, DeliveredValue, Destination, Reading, WriteOutcome } from '../port.ts';
import type { ReadCredential } from '../readcredential.ts';
import { foundValue, revealEntries } from '../record.ts';
import { listTags, openSecretsClient, type SecretsClient } from './client.ts';
import { garbage, tooLarge } from './faults.ts';
import { openCredentials, type AwsAuthSpec, type AwsEnvironment, type IsAccepted } from './login.ts';
import { openNotes, type Notes } from './notes.ts';
import {
  checkTags,
  observedState,
  ownerTags,
  parseState,
  readingOf,
  spokenVersion,
  stages,
  type SecretState,
  type Tags,
} from './state.ts';
import { openTransport } from './transport.ts';
import { formatVersionId, speaksOf } from './versionid.ts';

/** `spec.aws` of a KeyDestination, as far as it is read here. */
export interface AwsSpec {
  readonly region: string;
  /** The template of the names; the probe asks for one of them. */
  readonly name: string;
  readonly auth: AwsAuthSpec;
  readonly kmsKeyId?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly stsEndpoint?: string | undefined;
  readonly tags?: Tags | undefined;
  /** A duration of 7 to 30 days. */
  readonly recoveryWindow: string;
}

/** What an AWS destination is opened with. */
export interface AwsDestinationOptions {
  readonly spec: AwsSpec;
  readonly environment: AwsEnvironment;
  /** What the installation permits. */
  readonly rules: EndpointRules;
  readonly readCredential: ReadCredential;
  /** Whether the API server of the cluster accepts a token. Absent without a cluster. */
  readonly isAccepted?: IsAccepted | undefined;
  readonly clock: Clock;
  /** Deadline of one request. Default 10 s. */
  readonly timeoutMs?: number | undefined;
}

const defaultTimeoutMs = 10_000;
const maxNameLength = 512;
const maxSecretBytes = 65_536;
const dayMs = 86_400_000;
const unknownKey = 'AWS does not take a parameter of a new secret; does spec.aws.kmsKeyId name a key of the region?';
const lost: WriteOutcome = { kind: 'lost' };

/** Opens Secrets Manager in one account and region. Nothing is sent yet; throws `stalled InvalidSpec`. */
export async function openAwsDestination(options: AwsDestinationOptions): Promise<Destination> {
  const { spec, environment, readCredential, isAccepted, clock, rules } = options;
  const { region, auth } = spec;
  const permit = (service: AwsService, field: 'endpoint' | 'stsEndpoint') =>
    permitAwsEndpoint(spec[field], { service, region, field: `spec.aws.${field}` }, rules)?.address;
  const endpoint = permit('secretsmanager', 'endpoint');
  const stsEndpoint = permit('sts', 'stsEndpoint');
  const tags = checkTags(spec.tags ?? {});
  // AWS or the installation chose this name, not the author of the KeyDestination: they control where it leads.
  const transport = openTransport({ timeoutMs: options.timeoutMs ?? defaultTimeoutMs, mayLoopback: true });
  const login = { auth, environment, region, stsEndpoint, readCredential, isAccepted };
  const credentials = openCredentials({ ...login, transport, clock });
  const client = await openSecretsClient({ region, endpoint, transport, credentials, clock });
  return new AwsDestination(client, spec, tags, openNotes(clock));
}

/**
 * Secrets Manager. Tags say whose a secret is, the ids of its versions which value it holds: one DescribeSecret reads
 * the mark. A write only stages a version (AWSPENDING), because AWS can make no write depend on what was there before;
 * the promotion can: it names the version that AWSCURRENT is taken from.
 */
class AwsDestination implements Destination {
  readonly #client: SecretsClient;
  readonly #spec: AwsSpec;
  readonly #tags: Tags;
  readonly #notes: Notes;

  constructor(client: SecretsClient, spec: AwsSpec, tags: Tags, notes: Notes) {
    this.#client = client;
    this.#spec = spec;
    this.#tags = tags;
    this.#notes = notes;
  }

  async readMark(location: Location): Promise<Reading> {
    return readingOf(await this.#describe(nameOf(location)));
  }

  /** The value that the reading speaks of: the staged one, if there is one. A stranger's value is never read. */
  async readValue(location: Location): Promise<DeliveredValue | undefined> {
    const name = nameOf(location);
    const noted = this.#notes.of(name);
    const early = noted === undefined ? 'changed' : await this.#read(noted);
    if (early !== 'changed') return early;
    const state = await this.#describe(name);
    if (state === undefined) return undefined;
    const value = await this.#read(state);
    if (value === 'changed') throw waiting('DestinationUnavailable', 'the value changed while it was read');
    return value;
  }

  async write(
    location: Location,
    record: DeliveredRecord,
    mark: Mark,
    observed: Reading,
    _attemptId: string,
  ): Promise<WriteOutcome> {
    refuseForeign(observed);
    const name = nameOf(location);
    const value = JSON.stringify(revealEntries(record));
    if (Buffer.byteLength(value) > maxSecretBytes) throw tooLarge();
    const state = observedState(observed);
    return state === undefined ? this.#create(name, value, mark) : this.#stage(name, value, mark, state);
  }

  async promote(location: Location, mark: Mark, observed: Reading): Promise<WriteOutcome> {
    const name = nameOf(location);
    const state = observedState(observed);
    if (state === undefined || observed.kind !== 'marked') return lost;
    const { arn, current, pending } = state;
    if (pending !== undefined && speaksOf(pending, mark)) {
      const moved = await this.#client.moveStage({
        SecretId: arn,
        VersionStage: stages.current,
        MoveToVersionId: pending,
        RemoveFromVersionId: current,
      });
      if (moved.kind === 'ok') return this.#written(name, { ...state, current: pending, pending: undefined, earlier: undefined });
      return this.#settle(name, state, pending);
    }
    if (!speaksOf(current, mark)) return lost;
    const now = this.#notes.of(name) ?? (await this.#describe(name));
    return readingOf(now).revision === observed.revision && now !== undefined ? this.#written(name, now) : lost;
  }

  /**
   * Schedules the deletion. Its call has no condition, so the secret is looked at just before it; it names the secret
   * by its ARN, which a later one of the same name does not have, and what was deleted too late can be restored.
   */
  async withdraw(location: Location, observed: Reading): Promise<'withdrawn' | 'lost'> {
    refuseForeign(observed);
    const name = nameOf(location);
    const state = await this.#describe(name);
    if (state === undefined || state.deleted) return 'withdrawn';
    if (readingOf(state).revision !== observed.revision) return 'lost';
    this.#notes.drop(name);
    const days = Math.min(Math.max(Math.ceil(durationMs(this.#spec.recoveryWindow) / dayMs), 7), 30);
    const deleted = await this.#client.delete({ SecretId: state.arn, RecoveryWindowInDays: days });
    if (deleted.kind === 'ok' || deleted.kind === 'missing') return 'withdrawn';
    const now = await this.#describe(name);
    if (now === undefined || now.deleted) return 'withdrawn';
    throw refusedState('to delete it; is it replicated to another region, or managed by another service?');
  }

  /** Login and the right to look, below the template: whether a secret is there does not matter. Nothing is written. */
  async probe(): Promise<void> {
    const name = this.#spec.name.replace('{namespace}', 'probe').replace('{name}', 'probe');
    await this.#describe(parseSegments(name).join('/'));
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async #describe(name: string): Promise<SecretState | undefined> {
    this.#notes.drop(name);
    const answer = await this.#client.describe(name);
    if (answer.kind === 'missing') return undefined;
    if (answer.kind !== 'ok') throw refusedState('to describe it');
    const state = parseState(answer.value, name, this.#tags);
    this.#notes.keep(name, state);
    return state;
  }

  /** `changed`: the stages are not where the state says they are. */
  async #read(state: SecretState): Promise<DeliveredValue | undefined | 'changed'> {
    const reading = readingOf(state);
    const versionId = spokenVersion(state);
    if (reading.kind === 'absent' || versionId === undefined) return undefined;
    if (reading.kind === 'unmarked') return foundValue({}, reading);
    const answer = await this.#client.get({ SecretId: state.arn, VersionId: versionId });
    if (answer.kind === 'missing' || answer.kind === 'refused') return 'changed';
    if (answer.kind !== 'ok' || answer.value.VersionId !== versionId) throw garbage();
    const { SecretString: text, VersionStages: found = [] } = answer.value;
    const stage = versionId === state.current ? stages.current : stages.pending;
    return found.includes(stage) ? foundValue(entriesIn(text), reading) : 'changed';
  }

  async #create(name: string, value: string, mark: Mark): Promise<WriteOutcome> {
    this.#notes.drop(name);
    const token = formatVersionId(mark, undefined);
    const { kmsKeyId } = this.#spec;
    const answer = await this.#client.create({
      Name: name,
      SecretString: value,
      ClientRequestToken: token,
      Tags: listTags({ ...this.#tags, ...ownerTags(mark) }),
      ...(kmsKeyId === undefined ? {} : { KmsKeyId: kmsKeyId }),
    });
    if (answer.kind === 'exists') return lost;
    if (answer.kind === 'invalid') throw waiting('DestinationUnavailable', unknownKey);
    if (answer.kind !== 'ok') return this.#surprise(name, undefined);
    const { ARN: arn, VersionId } = answer.value;
    if (typeof arn !== 'string' || !arn.startsWith('arn:') || VersionId !== token) throw garbage();
    const { installationId, namespace, name: keyName, uid } = mark;
    const owner = { installationId, namespace, name: keyName, uid };
    const none = { pending: undefined, earlier: undefined };
    return this.#written(name, { arn, owner, current: token, ...none, deleted: false, tagged: true });
  }

  /** Restores and tags the secret where that is needed, then stages the value; readers get it with the promotion. */
  async #stage(name: string, value: string, mark: Mark, state: SecretState): Promise<WriteOutcome> {
    this.#notes.drop(name);
    const { arn, current } = state;
    const { installationId, namespace, name: keyName, uid } = mark;
    const owner = { installationId, namespace, name: keyName, uid };
    if (state.deleted) {
      if (state.owner?.installationId !== installationId) {
        throw stalled('ForeignValue', 'the name belongs to a deleted secret that is not ours, until its deletion window ends');
      }
      if ((await this.#client.restore(arn)).kind !== 'ok') return this.#surprise(name, state);
    }
    if (!state.tagged || JSON.stringify(state.owner) !== JSON.stringify(owner)) {
      const tagged = await this.#client.tag(arn, { ...this.#tags, ...ownerTags(owner) });
      if (tagged.kind !== 'ok') return this.#surprise(name, state);
    }
    // When a version of that id is there already, AWS ignores the repeat, also when somebody has taken the stage from it
    // since, and refuses it when the version holds something else: then it takes another id.
    for (const over of [current, randomUUID()]) {
      const pending = formatVersionId(mark, over);
      const put = await this.#put(arn, value, pending);
      if (put === 'refused') return this.#surprise(name, state);
      if (put === 'taken') continue;
      return this.#written(name, { ...state, owner, pending, earlier: undefined, deleted: false, tagged: true });
    }
    return this.#surprise(name, state);
  }

  /** `taken`: there is a version of this id, and it cannot be staged or holds something else. */
  async #put(arn: string, value: string, token: string): Promise<'staged' | 'taken' | 'refused'> {
    const answer = await this.#client.put({
      SecretId: arn,
      SecretString: value,
      ClientRequestToken: token,
      VersionStages: [stages.pending],
    });
    if (answer.kind === 'exists') return 'taken';
    if (answer.kind !== 'ok') return 'refused';
    const { VersionId, VersionStages = [] } = answer.value;
    if (VersionId !== token) throw garbage();
    return VersionStages.includes(stages.pending) ? 'staged' : 'taken';
  }

  /** A promotion did not happen: it was ours already, or another leader's; then our stage is taken down. */
  async #settle(name: string, before: SecretState, pending: string): Promise<WriteOutcome> {
    const now = await this.#describe(name);
    if (now === undefined || now.deleted || now.arn !== before.arn) return lost;
    if (now.current === pending) return this.#written(name, now);
    if (now.current === before.current && now.pending === pending) throw refusedState('to move its stages');
    if (now.pending === pending) {
      this.#notes.drop(name);
      await this.#client.moveStage({ SecretId: now.arn, VersionStage: stages.pending, RemoveFromVersionId: pending });
    }
    return lost;
  }

  /** A call met another state than the observed one: lost, if there is another state; else nobody could say what to do. */
  async #surprise(name: string, before: SecretState | undefined): Promise<WriteOutcome> {
    const now = await this.#describe(name);
    if (readingOf(now).revision !== readingOf(before).revision) return lost;
    throw refusedState('to change it');
  }

  #written(name: string, state: SecretState): WriteOutcome {
    this.#notes.keep(name, state);
    const reading = readingOf(state);
    return { kind: 'written', providerVersion: spokenVersion(state) ?? '', reading };
  }
}

/** The secret's name, every segment checked, so that none can be taken for a part of an ARN. */
function nameOf(location: Location): string {
  const name = parseSegments(location.path).join('/');
  if (name.length <= maxNameLength) return name;
  throw stalled('InvalidSpec', `the name of a secret of AWS has at most ${maxNameLength} characters`);
}

function entriesIn(text: string | undefined): Readonly<Record<string, unknown>> {
  try {
    const entries: unknown = JSON.parse(text ?? '');
    return typeof entries === 'object' && entries !== null ? (entries as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

function refusedState(what: string): Error {
  return waiting('DestinationUnavailable', `the state of the secret in AWS does not allow us ${what}`);
}
