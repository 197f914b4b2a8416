import type { Clock } from '../domain/time.ts';
import { renderChanges, renderTable } from './table.ts';
import type { TableModel } from './table.ts';

/** Where the table is shown: a terminal, or a pipe or file. */
export interface Screen {
  readonly isTerminal: boolean;
  /** As they are now; a terminal's window may change. */
  size(): { readonly columns: number; readonly rows: number };
  write(text: string): void;
}

/** What {@link showTable} needs. */
export interface DisplayInput {
  readonly screen: Screen;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly model: () => TableModel;
}

const everyMs = 250;

/**
 * Shows the table until aborted: on a terminal it is drawn over itself whenever it differs, elsewhere changes come as
 * lines, after the whole table once there is something to show. Resolves after the last picture; never rejects.
 */
export async function showTable({ screen, clock, signal, model }: DisplayInput): Promise<void> {
  const draw = screen.isTerminal ? drawOver(screen) : tellChanges(screen);
  for (;;) {
    draw(model());
    if (signal.aborted) return;
    try {
      await clock.sleep(everyMs, signal);
    } catch {
      // Aborted: one last picture of how it ended.
    }
  }
}

function drawOver(screen: Screen): (model: TableModel) => void {
  let drawn = '';
  let height = 0;
  let width = 0;
  return (model) => {
    const { columns, rows } = screen.size();
    const shown = cut(renderTable(model, columns), columns, rows - 1);
    const picture = `${shown.join('\n')}\n`;
    if (picture === drawn && columns === width) return;
    // In a window of another width the old lines stand elsewhere: begin with an empty one.
    const begin = height === 0 ? '' : columns === width ? `\u001B[${height}A\r` : '\u001B[H';
    screen.write(`${begin}\u001B[0J${picture}`);
    drawn = picture;
    width = columns;
    height = shown.reduce((sum, line) => sum + heightOf(line, columns), 0);
  };
}

/** The cursor cannot go above the window: what does not fit in is left out and counted. */
function cut(lines: readonly string[], columns: number, rows: number): readonly string[] {
  let height = 0;
  const end = lines.findIndex((line) => (height += heightOf(line, columns)) > rows);
  if (end === -1) return lines;
  const shown = Math.max(0, end - 1);
  return [...lines.slice(0, shown), `… ${lines.length - shown} more lines`];
}

function heightOf(line: string, columns: number): number {
  return Math.max(1, Math.ceil(line.length / columns));
}

function tellChanges(screen: Screen): (model: TableModel) => void {
  let before: TableModel | undefined;
  return (model) => {
    const lines = renderChanges(before, model);
    if (lines.length > 0) screen.write(`${lines.join('\n')}\n`);
    before = model;
  };
}
