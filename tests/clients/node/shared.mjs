// What every script shares: where the server is, what is asked, and a report of each check as JSON.
export const [, , url, vote] = process.argv;
export const question = "What is 17 * 24?";
export const tool = {
  name: "weather",
  description: "How it is",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

export async function run(checks) {
  const results = {};
  for (const [name, check] of Object.entries(checks)) {
    try {
      results[name] = await check();
    } catch (error) {
      results[name] = { failed: `${error?.constructor?.name}: ${error?.message}`, stack: error?.stack };
    }
  }
  console.log(JSON.stringify(results));
  process.exit(0);
}
