import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { ChartValues } from '../../scripts/chart/values.ts';
import type { PolicyRule } from '../../operator/src/api/admission/roles.ts';
import type { Helm } from './helm.ts';
import type { Pod } from './pods.ts';

/** The chart, as it lies in the repository. */
export const chartPath = join(import.meta.dirname, '..', '..', 'charts', 'keywright');

/** One object of a release, as far as tests look at it. */
export interface Rendered {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly rules?: readonly PolicyRule[];
  readonly roleRef?: { readonly kind: string; readonly name: string };
  readonly immutable?: boolean;
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: { readonly metadata: object; readonly spec: Pod['spec'] & { readonly enableServiceLinks?: boolean } };
  };
}

/** The objects of a rendering, or of `helm get manifest`. */
export function objectsOf(text: string): readonly Rendered[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Rendered | null)
    .filter((one) => one !== null);
}

/** Renders the chart as `helm template` does; throws what Helm said. */
export async function render(helm: Helm, values: ChartValues, args: readonly string[] = []): Promise<readonly Rendered[]> {
  const { stdout } = await helm.run(['template', 'keywright', chartPath, '--namespace', 'keywright-system', ...args], { values });
  return objectsOf(stdout);
}
