/** Where a command writes. stdout carries its result and nothing else; everything for people on the way goes to stderr. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** True where stdout is a terminal: live tables and colours make sense. */
  readonly isTty: boolean;
  /** True where somebody watches stderr, also while stdout goes elsewhere. */
  readonly errIsTty: boolean;
  readonly columns: number;
  readonly paint: Paint;
}

export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  red(text: string): string;
}

export function createTerminal({
  stdout,
  stderr,
  noColor,
}: {
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  noColor: boolean;
}): Terminal {
  return {
    out: (text) => stdout.write(text),
    err: (text) => stderr.write(text),
    isTty: stdout.isTTY === true,
    errIsTty: stderr.isTTY === true,
    get columns() {
      // 0 where a pseudo terminal was never given a size.
      return stdout.columns || 120;
    },
    paint: createPaint(stdout.isTTY === true && !noColor),
  };
}

function createPaint(enabled: boolean): Paint {
  const sgr = (code: number) => (text: string) =>
    enabled ? `${controlStart}[${code}m${text}${controlStart}[0m` : text;
  return {bold: sgr(1), dim: sgr(2), green: sgr(32), yellow: sgr(33), red: sgr(31)};
}

/** Columns padded to their widest cell, two blanks between; the last column is not padded. */
export function formatTable(
  rows: readonly (readonly string[])[],
  {columns = Number.POSITIVE_INFINITY}: {columns?: number} = {},
): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => visibleWidth(row[column] ?? ''))),
  );
  return rows
    .map((row) => {
      const cells = row.map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat((widths[column] ?? 0) - visibleWidth(cell)),
      );
      return `${clip(cells.join('  ').trimEnd(), columns)}\n`;
    })
    .join('');
}

const controlStart = String.fromCharCode(27);
const colours = new RegExp(`${controlStart}\\[\\d+m`, 'g');

function visibleWidth(text: string): number {
  return Bun.stringWidth(text.replace(colours, ''));
}

/** A row never wraps in a live table. Colour is dropped where the text is cut. */
function clip(line: string, columns: number): string {
  if (visibleWidth(line) <= columns) return line;
  return `${[...line.replace(colours, '')].slice(0, Math.max(0, columns - 1)).join('')}…`;
}

/** Text from git or a container, made harmless for a terminal: control characters become visible marks. */
export function printable(text: string): string {
  return text.replace(/(?![\n\t])[\p{Cc}\p{Bidi_Control}]/gu, '\ufffd');
}
