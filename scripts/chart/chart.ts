import { chartTemplates } from './templates.ts';
import { valuesSchema } from './values.ts';
import { valueRows, valuesFile } from './valuesfile.ts';

/** Where the chart lies, and which of its folders holds generated templates only. */
export const chartFolder = 'charts/keywright';
export const chartTemplateFolder = `${chartFolder}/templates/generated`;

/** The generated files of the chart: path from the root → content. `source` says where to edit. */
export function chartFiles(source: string): ReadonlyMap<string, string> {
  return new Map([
    [`${chartFolder}/values.schema.json`, `${JSON.stringify(valuesSchema(), null, 2)}\n`],
    [`${chartFolder}/values.yaml`, `# ${source}\n\n${valuesFile()}`],
    ...[...chartTemplates()].map(([name, text]) => [`${chartTemplateFolder}/${name}`, `{{- /* ${source} */}}\n${text}`] as const),
  ]);
}

/** `docs/reference/chart.md`: every value of the chart. */
export function chartPage(): string {
  return [
    '# Values of the Helm chart',
    '',
    'An unknown value is an error, and so is one that contradicts another. See [the guide](../how-to/install.md) for how to install.',
    '',
    '| value | meaning | default |',
    '| --- | --- | --- |',
    ...valueRows().map(([path, meaning, fallback]) => {
      const cells = [`\`${path}\``, meaning, fallback === '' ? '' : `\`${fallback}\``];
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
    }),
    '',
  ].join('\n');
}
