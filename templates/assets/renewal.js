// Lets a certificate's file be dropped onto the text field. The page does all
// that it does without this script, too.
"use strict";
(() => {
  const text = document.getElementById("certificate");
  const field = document.getElementById("drop");
  if (!text || !field) {
    return;
  }
  field.classList.add("drop");
  const largest = 1 << 20;
  const take = async (file) => {
    if (!file || file.size > largest) {
      return;
    }
    const content = await file.text();
    // A binary file goes as it is: choose it by the button.
    if (content.includes("-----BEGIN ")) {
      text.value = content;
      text.focus();
    } else {
      text.value = "";
      text.placeholder = file.name + " is not in PEM form: choose it with the button above, or convert it: openssl x509 -inform der -in FILE";
    }
  };
  field.addEventListener("dragover", (e) => {
    e.preventDefault();
    field.classList.add("over");
  });
  field.addEventListener("dragleave", () => field.classList.remove("over"));
  field.addEventListener("drop", (e) => {
    e.preventDefault();
    field.classList.remove("over");
    take(e.dataTransfer.files[0]);
  });
})();
