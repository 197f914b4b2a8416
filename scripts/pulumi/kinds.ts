import * as z from 'zod';
import { apiKinds, kindTable, type ApiKind } from '../../operator/src/api/kinds.ts';
import { valuesSchema } from '../chart/values.ts';
import { Declarations, type SchemaNode } from './types.ts';

/** Where the generated sources of the Pulumi package lie. */
export const pulumiFolder = 'pulumi/src/generated';

/** The generated sources: path from the root → content. */
export function pulumiFiles(source: string): ReadonlyMap<string, string> {
  return new Map([
    ...apiKinds.map((kind) => [`${pulumiFolder}/${kind.toLowerCase()}.ts`, `// ${source}\n${kindSource(kind)}`] as const),
    [`${pulumiFolder}/workloadkeyspec.ts`, `// ${source}\n${workloadKeySource()}`],
    [`${pulumiFolder}/values.ts`, `// ${source}\n${valuesSource()}`],
  ]);
}

/** The typed arguments, outputs and class of a kind. */
function kindSource(kind: ApiKind): string {
  const { spec, status, description, transitions } = kindTable[kind];
  const enums = new Map<string, string>();
  const args = new Declarations('input', enums);
  args.declare(`${kind}SpecArgs`, toNode(spec, 'input'), `What an ${kind} should be.`);
  const outputs = new Declarations('output', new Map());
  outputs.declare(`${kind}Spec`, toNode(spec, 'output'), `What an ${kind} should be, with its defaults.`);
  outputs.declare(`${kind}Status`, toNode(status, 'output'), `What an ${kind} is: only the operator writes it.`);
  const isReplaceable = transitions.some(({ immutable }) => immutable === true);
  return [
    `import type { CustomResourceGetOptions } from '@pulumi/kubernetes/apiextensions/customResource.js';`,
    `import type { meta as inputs } from '@pulumi/kubernetes/types/input.js';`,
    `import type { meta as outputs } from '@pulumi/kubernetes/types/output.js';`,
    `import type * as pulumi from '@pulumi/pulumi';`,
    `${isReplaceable ? `import type { Replacement } from '../replace.ts';\n` : ''}import { KeywrightResource } from '../resource.ts';`,
    '',
    ...enums.values(),
    args.text(),
    outputs.text(),
    classSource(kind, description, isReplaceable),
  ].join('\n');
}

function classSource(kind: ApiKind, description: string, isReplaceable: boolean): string {
  return `/** The arguments of an ${kind}. */
export interface ${kind}Args {
  /** Name, namespace, labels and annotations. Without a name it is that of the resource; nothing is appended. */
  metadata?: pulumi.Input<inputs.v1.ObjectMeta> | undefined;
  /** What it should be. */
  spec: pulumi.Input<${kind}SpecArgs>;
${isReplaceable ? `  /** What follows when an immutable field changes; without it such a change is refused. */\n  replace?: Replacement | undefined;\n` : ''}}

/**
 * ${description}
 *
 * By default an update waits until it is ${kind === 'ApiKey' ? 'Ready (with \`suspend: true\`: Delivered)' : 'Ready'}; the annotation \`pulumi.com/waitFor\` or
 * \`pulumi.com/skipAwait\` says otherwise. ${kind === 'ApiKey' ? 'The value of the key is never among its outputs: only where it lies.' : ''}
 */
export class ${kind} extends KeywrightResource {
  /** What it is in Kubernetes. */
  declare readonly metadata: pulumi.Output<outputs.v1.ObjectMeta>;
  /** What it should be, with its defaults. */
  declare readonly spec: pulumi.Output<${kind}Spec>;
  /** What it is, as far as the operator has looked. */
  declare readonly status: pulumi.Output<${kind}Status | undefined>;

  /**
   * One that exists already. \`id\` is ${kind === 'ApiKey' ? '\`<namespace>/<name>\`' : 'its name'}.
   *
   * @param name The name of the resource in the program.
   */
  static override get(name: string, id: pulumi.Input<pulumi.ID>, opts?: pulumi.CustomResourceOptions): ${kind};
  /** As every custom resource of \`@pulumi/kubernetes\` is looked up. */
  static override get(name: string, opts: CustomResourceGetOptions): ${kind};
  static override get(
    name: string,
    idOrOptions: pulumi.Input<pulumi.ID> | CustomResourceGetOptions,
    opts?: pulumi.CustomResourceOptions,
  ): ${kind} {
    return new ${kind}(name, undefined as unknown as ${kind}Args, KeywrightResource.optionsToGet(idOrOptions, opts));
  }

  /** Whether it is an ${kind}, also one of another copy of this package. */
  static override isInstance(candidate: unknown): candidate is ${kind} {
    return KeywrightResource.isOfKind(candidate, '${kind}');
  }

  /**
   * @param name The name of the resource in the program.
   * @param args Checked here as far as they are known; throws an error that names the fields at fault.
   */
  constructor(name: string, args: ${kind}Args, opts?: pulumi.CustomResourceOptions) {
    super('${kind}', name, args, opts);
  }
}
`;
}

/** The values of the chart, for the component that installs it. */
function valuesSource(): string {
  const values = new Declarations('input');
  values.declare('KeywrightValuesArgs', valuesSchema(), 'The values of the Helm chart.');
  return [`import type * as pulumi from '@pulumi/pulumi';`, '', values.text()].join('\n');
}

/** What a key of a workload may be: an ApiKey, but for where it is delivered. */
function workloadKeySource(): string {
  const node = toNode(kindTable.ApiKey.spec, 'input');
  const properties = Object.fromEntries(Object.entries(node.properties ?? {}).filter(([name]) => name !== 'deliverTo'));
  const required = (node.required ?? []).filter((name) => name !== 'deliverTo');
  const args = new Declarations('input');
  args.declare(
    'WorkloadKeySpecArgs',
    { ...node, properties, required },
    'What the ApiKey of a workload should be; it is delivered to a Secret.',
  );
  return [`import type * as pulumi from '@pulumi/pulumi';`, '', args.text()].join('\n');
}

function toNode(schema: z.ZodType, io: 'input' | 'output'): SchemaNode {
  return z.toJSONSchema(schema, { target: 'draft-7', io, unrepresentable: 'throw' }) as SchemaNode;
}
