// AVA loads test files without waiting, so it stands here by name.
import '../runtime/cron/killed.test.ts';

// Read when a test runs.
process.env.KILL_STEPS ??= 'every';
