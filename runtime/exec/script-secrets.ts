import {AppError} from '../../schemas/errors.ts';
import {isSecretComment, listMagicComments, type MagicComment, redacted} from './magic-comments.ts';

/** A script's text as it may be shown: its tokens are hidden. */
export function redactSecrets(text: string): string {
  const secrets = listMagicComments(text).filter(({name}) => isSecretComment(name));
  return withValues(text, new Map(secrets.map((comment) => [comment, redacted])));
}

/**
 * A text that was read with its tokens hidden, as it is to be stored: each placeholder becomes the token that `stored`
 * has there. Throws SCRIPT_INVALID where that cannot be told: a placeholder would be a token that everybody knows.
 */
export function restoreSecrets(path: string, text: string, stored: string): string {
  const placeholders = listMagicComments(text).filter(
    ({name, value}) => isSecretComment(name) && value === redacted,
  );
  const values = new Map<MagicComment, string>();
  for (const name of new Set(placeholders.map((comment) => comment.name))) {
    const wanted = placeholders.filter((comment) => comment.name === name);
    const present = listMagicComments(stored).filter((comment) => comment.name === name);
    for (const [index, comment] of wanted.entries()) {
      const kept = wanted.length === present.length ? present[index]?.value : undefined;
      if (kept === undefined || kept === redacted) throw refusal(path, comment);
      values.set(comment, kept);
    }
  }
  return withValues(text, values);
}

function withValues(text: string, values: ReadonlyMap<MagicComment, string>): string {
  if (values.size === 0) return text;
  const byLine = new Map([...values].map(([{line, name}, value]) => [line, {name, value}]));
  const lines = text.split('\n').map((line, index) => {
    const change = byLine.get(index + 1);
    if (change === undefined) return line;
    const end = line.endsWith('\r') ? '\r' : '';
    return `${line.slice(0, line.indexOf('@'))}@${change.name} ${change.value}${end}`;
  });
  return lines.join('\n');
}

function refusal(file: string, {name, line, column}: MagicComment): AppError {
  const message = `@${name} ${redacted} stands for a value that was hidden, and it cannot be told which. Write the value out.`;
  return new AppError('SCRIPT_INVALID', 'Script validation failed', {
    details: {validation: [{file, line, column, code: 'secret_unknown', message}]},
  });
}
