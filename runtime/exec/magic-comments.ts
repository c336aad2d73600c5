/** The `// @name value` lines above a script's first code, in order; a repeated name keeps its last value. */
export function readMagicComments(text: string): Readonly<Record<string, string>> {
  const comments: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    if (trimmed !== '' && !trimmed.startsWith('//') && !trimmed.startsWith('#!')) break;
    const [, name, value] = /^\/\/\s*@([A-Za-z][A-Za-z0-9-]*)\s*(.*)$/.exec(trimmed) ?? [];
    if (name !== undefined && value !== undefined) comments[name] = value;
  }
  return comments;
}

export interface ScriptOptions {
  /** Null for no limit. */
  readonly timeoutMs: number | null;
  readonly enabled: boolean;
}

const defaultTimeoutMs = 30 * 60_000;

/** A bad value counts as absent. */
export function readScriptOptions(text: string): ScriptOptions {
  const {timeout, enabled} = readMagicComments(text);
  return {timeoutMs: timeoutOf(timeout), enabled: enabled !== 'false'};
}

function timeoutOf(value: string | undefined): number | null {
  if (value === '0' || value === 'unlimited') return null;
  const ms = Number(value);
  return Number.isSafeInteger(ms) && ms > 0 ? ms : defaultTimeoutMs;
}

/** Comments as they may be shown: what opens a door is hidden. */
export function redactMagicComments(comments: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(comments).map(([name, value]) => [
      name,
      name === 'token' || name === 'ai-key' ? '[REDACTED]' : value,
    ]),
  );
}
