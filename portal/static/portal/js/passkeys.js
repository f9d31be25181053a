// Passkeys: shows what asks for one where the browser knows them, hands those buttons to allauth's script, and says
// in the page what went wrong. Without this file the other ways of signing in are there.
(() => {
  if (!window.PublicKeyCredential || !window.allauth) return;
  const { forms } = window.allauth.webauthn;
  const button = document.querySelector("[data-passkey]");
  const asked = (ids) => ({ ids: { credential: "passkey-credential", ...ids }, data: JSON.parse(button.dataset.options || "{}") });
  const ways = {
    login: () => forms.loginForm(asked({ login: "passkey" })),
    authenticate: () => forms.authenticateForm(asked({ authenticate: "passkey" })),
    add: () => forms.addForm(asked({ add: "passkey", passwordless: "id_passwordless" })),
  };
  const spoken = document.getElementById("said").dataset;
  const words = {
    NotAllowedError: spoken.passkeyStopped,
    InvalidStateError: spoken.passkeyThere,
    SecurityError: spoken.passkeyAddress,
  };

  for (const part of document.querySelectorAll("[data-passkeys]")) part.hidden = false;
  for (const part of document.querySelectorAll("[data-no-passkeys]")) part.hidden = true;
  if (button) ways[button.dataset.passkey]();

  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    const said = document.getElementById("passkey-said");
    said.textContent = words[event.detail.exception.name] || spoken.passkeyFailed;
    said.hidden = false;
  });
})();
