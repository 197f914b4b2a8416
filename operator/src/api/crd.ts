import type { ApiKind, KindEntry, PrinterColumn } from './kinds.ts';
import { kindTable } from './kinds.ts';
import { group, version } from './meta.ts';
import type { Schema } from './structural.ts';
import { toStructural } from './structural.ts';

/** The CustomResourceDefinition of a kind, as plain JSON: typed models would drop the `x-kubernetes-…` members. */
export function toCrd(kind: ApiKind): Schema {
  const entry = kindTable[kind];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${entry.plural}.${group}`, labels: { 'app.kubernetes.io/part-of': 'keywright' } },
    spec: {
      group,
      names: {
        kind,
        listKind: `${kind}List`,
        plural: entry.plural,
        singular: entry.singular,
        shortNames: entry.shortNames,
        categories: ['keywright'],
      },
      scope: entry.scope,
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          ...(entry.selectableFields.length === 0
            ? {}
            : { selectableFields: entry.selectableFields.map((jsonPath) => ({ jsonPath })) }),
          additionalPrinterColumns: entry.columns.map(toColumn),
          schema: { openAPIV3Schema: objectSchema(entry) },
        },
      ],
    },
  };
}

/** The schema of a whole object. */
function objectSchema(entry: KindEntry): Schema {
  return {
    type: 'object',
    description: entry.description,
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string', description: 'The version of the API.' },
      kind: { type: 'string', description: 'The kind of the object.' },
      // Names become label values and segments of locations, which end at 63 characters.
      metadata: { type: 'object', properties: { name: { type: 'string', maxLength: 63 } } },
      spec: { ...toStructural(entry.spec), description: 'What is wanted.' },
      // The empty default lets the default condition appear on an object that the operator has not seen yet, so that
      // `kubectl wait` has a condition to wait on.
      status: { ...toStructural(entry.status), description: 'What is; only the operator writes it.', default: {} },
    },
  };
}

function toColumn(column: PrinterColumn): Schema {
  return {
    name: column.name,
    type: column.type,
    jsonPath: column.jsonPath,
    description: column.description,
    ...(column.priority === undefined ? {} : { priority: column.priority }),
  };
}
