"""An ordinary PyTorch loop with predicted gradients: handwritten digits in ten epochs."""

from torch import manual_seed, optim
from torch.nn.functional import cross_entropy

from adagp import data, models
from adagp.training import AdaGP, LearnedFeedback, Schedule

manual_seed(0)
digits = data.load("digits")
batches = data.Batches(digits.train, batch=32, drop_last=True)
model = models.build("digits", classes=digits.classes, channels=1)
optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
adagp = AdaGP(model, optimizer, predictor=LearnedFeedback(), schedule=Schedule(warmup=2 * len(batches), gp=2, bp=1))

for epoch in range(10):
    for inputs, labels in batches.epoch(epoch):
        loss = cross_entropy(model(inputs), labels)
        adagp.backward(loss)  # instead of loss.backward()
        adagp.step()  # instead of optimizer.step() and optimizer.zero_grad()
    print(f"epoch {epoch + 1}: loss {loss:.3f}, cosine {adagp.cosine:.2f}")

model.eval()
(images, labels), = data.Batches(digits.test, batch=len(digits.test), shuffle=False).epoch(0)
print(f"{(model(images).argmax(1) == labels).float().mean():.1%} of the test images are right")
