import { expect } from 'vitest';
import { admissionPolicyName } from '../../operator/src/api/admission/policy.ts';
import { apiVersion } from '../../operator/src/api/meta.ts';
import type { Kube, KubeAnswer } from './kube.ts';
import { ownControlPlane } from './parts.ts';
import { applyPermissions, bind } from './permissions.ts';

export type Json = Readonly<Record<string, unknown>>;

/** The rights that the policy asks for, each as the rule of a Role that gives it. */
export const rights = {
  grant: { apiGroups: ['keywright.dev'], resources: ['apicatalogs/accesstypes'], verbs: ['grant'] },
  own: { apiGroups: ['keywright.dev'], resources: ['keyowners'], verbs: ['own'] },
  deliver: { apiGroups: ['keywright.dev'], resources: ['keydestinations'], verbs: ['deliver'] },
  deliverSecret: { apiGroups: ['keywright.dev'], resources: ['keydestinations/secrets'], verbs: ['deliver'] },
  revoke: { apiGroups: ['keywright.dev'], resources: ['apikeys'], verbs: ['revoke'] },
  rotate: { apiGroups: ['keywright.dev'], resources: ['apikeys'], verbs: ['rotate'] },
  restart: { apiGroups: ['apps'], resources: ['deployments', 'statefulsets', 'daemonsets'], verbs: ['patch'] },
} as const;
export type Right = keyof typeof rights;
export const allRights = Object.keys(rights) as Right[];
export const writing = {
  apiGroups: ['keywright.dev'],
  resources: ['apikeys'],
  verbs: ['get', 'list', 'create', 'update', 'patch', 'delete'],
};

/** The right of an operator, or of a garbage collector: to take finalizers away. */
export const finalize = { ...writing, resources: ['apikeys/finalizers'], verbs: ['update'] };

/** What a refusal says of a right that is missing. */
export const refusals: Readonly<Record<Right, string>> = {
  grant: 'no right to "grant" apicatalogs.keywright.dev/accesstypes "default:',
  own: 'no right to "own" keyowners.keywright.dev "payments-team"',
  deliver: 'no right to "deliver" keydestinations.keywright.dev "',
  deliverSecret: 'no right to "deliver" keydestinations.keywright.dev/secrets "',
  revoke: 'no right to "revoke" apikeys.keywright.dev "',
  rotate: 'no right to "rotate" apikeys.keywright.dev "',
  restart: 'no right to "patch" ',
};

export const strict = 'fieldValidation=Strict';
export const mergePatch = 'application/merge-patch+json';

const baseSpec = {
  displayName: 'Billing sync',
  catalog: 'default',
  owner: 'payments-team',
  contactEmail: 'payments@example.com',
  accessType: 'Integrations',
  deliverTo: [{ name: 'vault', destination: 'prod-vault' }],
};

export const messageOf = (answer: KubeAnswer) => (answer.body as { message?: string }).message ?? '';

export function expectAllowed(answer: KubeAnswer): void {
  expect(answer.status, messageOf(answer)).toBeLessThan(300);
}

/** The managers of the fields of an object, as the API server keeps them. */
export const managersOf = ({ body }: KubeAnswer) =>
  (body as { metadata: { managedFields: readonly object[] } }).metadata.managedFields;

export const annotated = (name: string, value: string | null) => ({ metadata: { annotations: { [name]: value } } });

/** A real API server with one namespace, whose users may write ApiKeys and have all of our rights but one, and the policy. */
export class AdmissionScene {
  /** A test may put one in its place that has more users. */
  kube: Kube;
  readonly namespace: string;
  readonly #stop: () => Promise<void>;

  private constructor(kube: Kube, namespace: string, stop: () => Promise<void>) {
    this.kube = kube;
    this.namespace = namespace;
    this.#stop = stop;
  }

  /** `users`: besides `nobody`, who has none of the rights, and `without-<right>`, who has every other one. No policy is there yet. */
  static async open(users: readonly string[] = []): Promise<AdmissionScene> {
    const names = ['nobody', 'all', ...allRights.map((right) => `without-${right}`), ...users];
    const plane = await ownControlPlane({ users: names.map((name) => ({ name: name.toLowerCase() })) });
    return new AdmissionScene(plane.kube, await plane.kube.createNamespace('admission'), () => plane.stop());
  }

  /** Applies policies and roles, and gives the users their rights. */
  async applyPolicy(): Promise<void> {
    const { kube, namespace } = this;
    await applyPermissions(kube);
    const others = (right?: Right) => allRights.filter((one) => one !== right).map((one) => rights[one]);
    await bind(kube, namespace, { kind: 'User', name: 'nobody' }, [writing]);
    await bind(kube, namespace, { kind: 'User', name: 'all' }, [writing, ...others()]);
    for (const right of allRights) {
      await bind(kube, namespace, { kind: 'User', name: `without-${right}`.toLowerCase() }, [writing, ...others(right)]);
    }
  }

  readonly path = (name = ''): string =>
    `/apis/${apiVersion}/namespaces/${this.namespace}/apikeys${name === '' ? '' : `/${name}`}`;

  readonly manifest = (name: string, spec: Json = {}, metadata: Json = {}): object => ({
    ...{ apiVersion, kind: 'ApiKey' },
    metadata: { name, namespace: this.namespace, ...metadata },
    spec: { ...baseSpec, ...spec },
  });

  readonly create = (user: string, body: object, query = ''): Promise<KubeAnswer> =>
    this.kube.request('POST', `${this.path()}?${strict}${query}`, { body, user: user.toLowerCase() });

  readonly patch = (user: string, name: string, body: object, query = ''): Promise<KubeAnswer> =>
    this.kube.request('PATCH', `${this.path(name)}?${strict}${query}`, {
      ...{ body, user: user.toLowerCase(), contentType: mergePatch },
    });

  /** A key that is there already, made by the cluster's administrator. */
  readonly present = async (name: string, spec: Json = {}, metadata: Json = {}): Promise<void> => {
    const answer = await this.create('admin', this.manifest(name, spec, metadata));
    expect(answer.status, messageOf(answer)).toBe(201);
  };

  readonly expectRefused = (answer: KubeAnswer, ...says: readonly string[]): void => {
    expect(answer.status, messageOf(answer)).toBe(403);
    const message = messageOf(answer);
    for (const part of [`ValidatingAdmissionPolicy '${admissionPolicyName}'`, `in the namespace "${this.namespace}"`, ...says])
      expect(message).toContain(part);
  };

  async close(): Promise<void> {
    await this.kube.close();
    await this.#stop();
  }
}
