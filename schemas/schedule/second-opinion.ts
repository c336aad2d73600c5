import type {OptionPreset} from 'cron-validate/lib/types';
import type {Schedule} from './parse.ts';

/** crontab(5) with names, as far as the other parser can be told. */
const crontabPreset: OptionPreset = {
  presetId: 'crontab',
  useSeconds: false,
  useYears: false,
  useAliases: true,
  useBlankDay: false,
  allowOnlyOneBlankDayField: false,
  seconds: {minValue: 0, maxValue: 59},
  minutes: {minValue: 0, maxValue: 59},
  hours: {minValue: 0, maxValue: 23},
  daysOfMonth: {minValue: 1, maxValue: 31},
  months: {minValue: 1, maxValue: 12},
  daysOfWeek: {minValue: 0, maxValue: 7},
  years: {minValue: 1970, maxValue: 2099},
};

/** What the other parser has against a schedule that ours takes; null where it agrees. */
export type SecondOpinion = (schedule: Schedule) => string | null;

/**
 * A parser that others wrote reads what ours has accepted. It never decides: it refuses forms that crontab(5) has
 * (steps beyond the range) and takes forms that it has not, so that its no is a hint to people, never a refusal.
 * Loaded with its first use, since it holds five megabytes.
 */
export async function loadSecondOpinion(): Promise<SecondOpinion> {
  const validate = functionOf((await import('cron-validate')).default);
  const known = new Map<string, string | null>();
  return ({text}) => {
    if (text.startsWith('@')) return null;
    const found = known.get(text);
    if (found !== undefined) return found;
    const result = validate(text, {preset: crontabPreset});
    const opinion = result.isError() ? withoutInput(result.getError()[0] ?? 'no reason given') : null;
    known.set(text, opinion);
    return opinion;
  };
}

type Validate = typeof import('cron-validate').default;

/** In a bundle the default of a CommonJS module is all that it exports, its own default included. */
function functionOf(imported: Validate | {default: Validate}): Validate {
  return typeof imported === 'function' ? imported : imported.default;
}

function withoutInput(message: string): string {
  return message.replace(/ \(Input cron: .*$/s, '');
}
