import {writeFile} from 'node:fs/promises';
import * as z from 'zod';
import {branchSettingsSchema} from './branch-settings.ts';
import {configSchema} from './config.ts';
import {crontabTestSchema} from './crontab-test.ts';
import {manifestSchema} from './exec-manifest.ts';

/** The files of `schemas/json/`, by name. `npm run generate` writes them; a test compares. */
export function generatedSchemas(): Record<string, string> {
  const config = z.toJSONSchema(configSchema, {io: 'input', unrepresentable: 'any'});
  const manifest = z.toJSONSchema(manifestSchema, {io: 'input', unrepresentable: 'any'});
  const crontabTest = z.toJSONSchema(crontabTestSchema, {io: 'input', unrepresentable: 'any'});
  const settings = z.toJSONSchema(branchSettingsSchema, {io: 'input', unrepresentable: 'any'});
  return {
    'branch-settings.schema.json': `${JSON.stringify(settings, null, 2)}\n`,
    'branchtab.schema.json': `${JSON.stringify(config, null, 2)}\n`,
    'crontab-test.schema.json': `${JSON.stringify(crontabTest, null, 2)}\n`,
    'exec-manifest.schema.json': `${JSON.stringify(manifest, null, 2)}\n`,
  };
}

if (import.meta.main) {
  for (const [name, text] of Object.entries(generatedSchemas())) {
    await writeFile(new URL(`json/${name}`, import.meta.url), text);
  }
}
